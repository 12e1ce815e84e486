SELECT brin_summarize_new_values('markenmate.%ARCHIVE%_archive_id_idx')
