-- One page of what may be no JSON: what is written as the application writes it is passed over. Of what is too
-- long to be judged only the length is read. The last row says how far the page came; none: there is no more.
WITH page AS (
    SELECT %key% AS key, id, metadata, octet_length(metadata) AS bytes FROM %table%
     WHERE %key% > %after% AND metadata IS NOT NULL AND %condition%
     ORDER BY %key% LIMIT %rows%
), judged AS (
    SELECT key, id, bytes, CASE WHEN bytes <= %longest% THEN metadata END AS metadata FROM page,
         (VALUES ('"[A-Za-z]+":(?:"(?:[^"\\\x01-\x1f]|\\["\\/bfnrt])*"|-?(?:0|[1-9][0-9]*)|true|false|null)')) written(pair)
     WHERE CASE WHEN bytes > %longest% THEN true
                ELSE metadata !~ ('^\{(?:' || pair || '(?:,' || pair || ')*)?\}$') END
), counted AS (
    SELECT *, least(bytes, %longest%) AS weight, sum(least(bytes, %longest%)) OVER (ORDER BY key) AS so_far FROM judged
), cut AS (
    -- Not more than that many bytes at once, but one row at least.
    SELECT * FROM counted WHERE so_far <= %bytes% OR so_far = weight
)
SELECT key, id, bytes, metadata, false AS is_end FROM cut
UNION ALL
SELECT CASE WHEN (SELECT count(*) FROM cut) < (SELECT count(*) FROM counted) THEN (SELECT max(key) FROM cut)
            ELSE (SELECT max(key) FROM page) END, NULL, NULL, NULL, true
 WHERE EXISTS (SELECT FROM page)
ORDER BY is_end, key
