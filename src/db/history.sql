-- As JSON, so that a history with columns changed by hand can still be read.
SELECT to_jsonb(h)::text AS entry FROM markenmate.%TABLE% h
