"""Two rasters of one place at two dates, seen on one grid."""
