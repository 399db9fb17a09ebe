# Figures of bench/serving to a table: medians, what the peers have, and the bar where there is one.
# in:  engine, shape, format, threads, test, tokens, depth, value
{
	file = $2 "\t" $3
	if (!(file in seen)) { seen[file] = 1; files[++n_files] = file }
	if ($4 > threads[file]) threads[file] = $4
	values[$1, file, $4, $5, $7 > 0] = values[$1, file, $4, $5, $7 > 0] " " $8
	if ($5 == "sessions") sessions = $6
	if (($5 == "first" || $5 == "stream") && $7 > 0) long = $7
}
function of(engine, t, test, depth) { return median(values[engine, file, t, test, depth]) }
# a line of medians; sign: 1 where more is better, -1 where less is, 0 where nobody is compared. bar: of the ratio to the best peer
function line(name, t, test, depth, sign, bar,    i, us, them, best, ratio, row) {
	us = of("tandem", t, test, depth)
	if (!us && !count) return
	row = sprintf("%.4g\t%.4g-%.4g\t%d", us, least, most, count)
	for (i = 1; i <= n_peers; i++) {
		them = of(peer[i], t, test, depth); row = row "\t" (them ? sprintf("%.4g", them) : "-")
		if (them && (!best || sign * them > sign * best)) best = them
	}
	ratio = !sign || !best || !us ? 0 : sign > 0 ? us / best : best / us
	print file "\t" t "\t" name "\t" row "\t" (ratio ? sprintf("%.2f", ratio) : "-") "\t" (bar ? sprintf(">= %.2f of best", bar) : "-") "\t" \
		(bar && ratio ? ratio >= bar ? "bar met" : "below the bar" : ratio ? ratio >= 1 ? "tandem" : "peer" : "-")
}
# a line of our own bar; sign: 1 = at least, -1 = at most
function own(name, t, test, sign, bar,    us) {
	us = of("tandem", t, test, 0)
	if (!count) return
	print file "\t" t "\t" name "\t" sprintf("%.4g\t%.4g-%.4g\t%d", us, least, most, count) absent "\t-\t" \
		(bar ? (sign > 0 ? ">= " : "<= ") bar : "-") "\t" (bar ? sign * us >= sign * bar ? "bar met" : "below the bar" : "-")
}
# one median of an engine over another
function quotient(engine, t, test, depth, by_t, by_test, by_depth,    a, b) {
	a = of(engine, t, test, depth); b = of(engine, by_t, by_test, by_depth)
	return a && b ? a / b : 0
}
function compare(name, t, test, depth, by_t, by_test, by_depth, sign, bar,    i, us, them, row) {
	us = quotient("tandem", t, test, depth, by_t, by_test, by_depth)
	if (!us) return
	row = sprintf("%.2f\t-\t-", us)
	for (i = 1; i <= n_peers; i++) {
		them = quotient(peer[i], t, test, depth, by_t, by_test, by_depth); row = row "\t" (them ? sprintf("%.2f", them) : "-")
	}
	print file "\t" t "\t" name "\t" row "\t-\t" sprintf("%s %.2f", sign > 0 ? ">=" : "<=", bar) "\t" \
		(sign * us >= sign * bar ? "bar met" : "below the bar")
}
END {
	n_peers = split(names, peer, "\n")
	printf "shape\tformat\tthreads\tmeasure\ttandem\tspread\tn"
	for (i = 1; i <= n_peers; i++) { printf "\t%s", peer[i]; absent = absent "\t-" }
	print "\tratio\tbar\tresult"
	for (f = 1; f <= n_files; f++) {
		file = files[f]; t = threads[file]; is_large = file ~ /^1\.1b/
		line(sessions " sessions at once, tokens/s", t, "sessions", 1, 1, 1.2)
		line("  tokens of their answers", t, "produced", 1, 0, 0)
		line("first token, idle, ms", t, "first", 0, -1, 0)
		line("first token while " long " are read, ms", t, "first", 1, -1, 0)
		compare("  of idle", t, "first", 1, t, "first", 0, -1, 2)
		line("a running answer, idle, ms a token", t, "stream", 0, -1, 0)
		line("a running answer while " long " are read, ms a token", t, "stream", 1, -1, 0)
		line("  reading them takes, ms", t, "reading", 1, -1, 0)
		line("  reading them alone takes, ms", t, "reading", 0, -1, 0)
		line("beside a busy process, tokens/s", 1, "busy", 0, 1, 0)
		if (t > 1) line("beside a busy process, tokens/s", t, "busy", 0, 1, 0)
		if (t > 1) compare("  of 1 thread", t, "busy", 0, 1, "busy", 0, 1, 0.9)
		own("memory read, GB/s", t, "bandwidth", 1, 0)
		own("weights read in decode, % of that", t, "share", 1, is_large ? 85 : 0)
		own("load to first token, s", t, "load", -1, is_large ? 1 : 0)
		own("resident, % of the file", t, "resident", -1, 110)
		own("  without code of programs", t, "data", -1, 0)
		line("server after the sessions, MB", t, "memory", 0, -1, 0)
	}
}
