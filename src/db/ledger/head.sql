SELECT number::text || ':' || hash AS head FROM markenmate.ledger ORDER BY number DESC LIMIT 1
