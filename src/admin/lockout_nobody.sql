-- Attempts of the last half hour in the name of somebody who does not exist, oldest first.
SELECT extract(epoch FROM clock_timestamp() - f.recorded_at)::float8 AS ago,
       to_char((f.recorded_at + interval '15 minutes') AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS until, false AS pending
  FROM markenmate.ledger f
 WHERE f.outcome = 'refused' AND f.recorded_at > clock_timestamp() - interval '30 minutes'
   -- As it is written by us: of a text of somebody else's nothing is read.
   AND CASE WHEN f.detail LIKE '{"actor":null,"named":"%"}'
            THEN lower(f.detail::json ->> 'named') = lower($1) AND f.detail::json ->> 'reason' = $2 END
 ORDER BY f.number
