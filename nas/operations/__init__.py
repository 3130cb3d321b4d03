"""Operations: the options of an edge of a cell or of a stage. One family per file; new files are found automatically."""
