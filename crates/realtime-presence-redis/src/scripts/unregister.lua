-- ARGV: sessions.
remove(ARGV)
prune()
settle()
return 0
