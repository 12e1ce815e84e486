INSERT INTO markenmate.export (name, folder, archive, month, first_archive_id, last_archive_id, rows, checksum, run_id, host)
VALUES (%NAME%, %FOLDER%, %ARCHIVE_NAME%, %MONTH%, %FIRST%, %LAST%, %ROWS%, %CHECKSUM%, %RUN%, %HOST%)
