"""Every chart, table and widget of the book: from rows and pictures to something to look at."""
