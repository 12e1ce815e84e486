-- A sequence that was never used says 1, too.
SELECT 'step-up-conflicts' AS metric, CASE WHEN is_called THEN last_value ELSE 0 END AS value FROM markenmate.step_up_conflicts
