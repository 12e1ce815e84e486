-- to_jsonb, so that a history with columns changed by hand can still be read.
SELECT to_jsonb(h)->>'version' AS version, to_jsonb(h)->>'name' AS name,
       to_jsonb(h)->>'applied_on' AS applied_on, to_jsonb(h)->>'checksum' AS checksum,
       to_jsonb(h)->>'adopted' AS adopted, to_jsonb(h)->>'run_id' AS run_id,
       to_jsonb(h)->>'applied_by' AS applied_by
  FROM markenmate.%TABLE% h
 ORDER BY length(to_jsonb(h)->>'version'), to_jsonb(h)->>'version'
