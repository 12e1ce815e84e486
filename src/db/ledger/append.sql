-- The lock first, then the head in a statement of its own: one statement would see the head as it was
-- before it had to wait. Who may only read cannot hold it.
LOCK TABLE markenmate.ledger IN SHARE ROW EXCLUSIVE MODE;
WITH head AS (
    SELECT number, hash FROM markenmate.ledger ORDER BY number DESC LIMIT 1
), f AS (
    SELECT coalesce((SELECT number FROM head), 0) + 1 AS number, clock_timestamp() AS recorded_at,
           %RUN% AS run_id, %COMMAND% AS command, %SUBJECT% AS subject, %OUTCOME% AS outcome, %DETAIL% AS detail,
           %VERSION% AS tool_version, %OS_USER% AS os_user, %HOST% AS host, session_user::text AS database_user,
           host(inet_client_addr()) AS client_address, pg_current_xact_id()::text AS transaction_id,
           %REASON% AS reason, %APPROVED_BY% AS approved_by,
           coalesce((SELECT hash FROM head), repeat('0', 64)) AS previous_hash
)
INSERT INTO markenmate.ledger
       (number, recorded_at, run_id, command, subject, outcome, detail, tool_version, os_user, host, database_user,
        client_address, transaction_id, reason, approved_by, previous_hash, hash)
SELECT f.number, f.recorded_at, f.run_id, f.command, f.subject, f.outcome, f.detail, f.tool_version, f.os_user, f.host,
       f.database_user, f.client_address, f.transaction_id, f.reason, f.approved_by, f.previous_hash,
       %HASH%
  FROM f
RETURNING number, hash;
