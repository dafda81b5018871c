-- ARGV: sessions.
remove(ARGV)
settle()
return 0
