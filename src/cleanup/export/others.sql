SELECT DISTINCT e.archive, e.folder, e.host FROM markenmate.export e WHERE e.state = 'writing' ORDER BY 1, 2, 3
