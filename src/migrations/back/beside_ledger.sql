-- What the rollbacks that took these wrote down: by a paste nothing was.
SELECT l.detail FROM markenmate.ledger l
 WHERE l.command = 'rollback' AND l.outcome = 'done' AND l.detail IS NOT NULL
   AND l.run_id IN (SELECT s.run_id FROM markenmate.set_aside s WHERE s.name IN (%NAMES%))
 ORDER BY l.number
