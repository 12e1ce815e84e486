SELECT name, folder, host, to_char(month, 'YYYY-MM-DD') AS month, first_archive_id, last_archive_id, rows, checksum
  FROM markenmate.export WHERE archive = %ARCHIVE_NAME% AND state = 'writing' ORDER BY began_at, name
