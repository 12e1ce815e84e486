-- The first link of the operator ledger that does not hold, and what of an exported head is missing.
WITH head AS (
    SELECT split_part(given, ':', 1)::bigint AS number, split_part(given, ':', 2) AS hash
      FROM (SELECT nullif(current_setting('markenmate.ledger_head', true), '') AS given) setting
     WHERE given IS NOT NULL
), f AS (
    SELECT l.*, lag(number, 1, 0::bigint) OVER w AS number_before, lag(hash, 1, repeat('0', 64)) OVER w AS hash_before
      FROM markenmate.ledger l WINDOW w AS (ORDER BY number)
), link AS (
    SELECT f.number, f.number_before, f.hash, f.previous_hash = f.hash_before AS chained,
           f.hash = encode(sha256(convert_to(jsonb_build_array(
    f.previous_hash, f.number::text, to_char(f.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z" BC'),
    f.run_id, f.command, f.subject, f.outcome, f.detail, f.tool_version, f.os_user, f.host, f.database_user,
    f.client_address, f.transaction_id, f.reason, f.approved_by)::text, 'UTF8')), 'hex') AS sound
      FROM f
), restored AS (
    -- A backup's ledger ends earlier; the restore's row says where the one before had ended.
    SELECT coalesce(format('; row %s is of a restore, and its detail names the head before it', max(number)), '') AS said
      FROM markenmate.ledger WHERE command = 'rollback --restore' HAVING count(*) > 0
     UNION ALL
    SELECT '' WHERE NOT EXISTS (SELECT FROM markenmate.ledger WHERE command = 'rollback --restore')
), broken AS (
    SELECT number, 1 AS rank,
           CASE WHEN NOT sound THEN 'was changed after it was written: its hash is not that of its columns'
                WHEN number <> number_before + 1
                THEN format('is the first after number %s: %s missing in between', number_before,
                            CASE number - number_before WHEN 2 THEN 'one row is' ELSE format('%s rows are', number - number_before - 1) END)
                WHEN NOT chained THEN 'does not continue the row before it: one of the two was written anew' END AS detail
      FROM link WHERE NOT sound OR NOT chained OR number <> number_before + 1
     ORDER BY number LIMIT 1
)
SELECT format('markenmate.ledger, row %s', number) AS subject, detail FROM (
    SELECT number, rank, detail FROM broken
     UNION ALL
    SELECT h.number, 2, format('is the exported head, and is gone: the ledger ends with row %s',
                               coalesce((SELECT max(number) FROM link), 0)) || restored.said
      FROM head h CROSS JOIN restored WHERE NOT EXISTS (SELECT FROM link l WHERE l.number = h.number)
     UNION ALL
    SELECT h.number, 2, 'is not the row that was exported: it was written anew since' || restored.said
      FROM head h CROSS JOIN restored JOIN link l ON l.number = h.number AND l.hash <> h.hash
) found
 ORDER BY rank, number
