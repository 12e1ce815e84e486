-- refinery's four columns; the others fill themselves from the run's transaction.
CREATE TABLE IF NOT EXISTS %TABLE% (
    version integer PRIMARY KEY,
    name varchar(255),
    applied_on varchar(255),
    checksum varchar(255),
    adopted boolean DEFAULT coalesce(current_setting('markenmate.adopted', true) = 'on', false) NOT NULL,
    run_id uuid DEFAULT nullif(current_setting('markenmate.run_id', true), '')::uuid,
    transaction_id text DEFAULT pg_current_xact_id()::text NOT NULL,
    applied_by text DEFAULT session_user NOT NULL
)
