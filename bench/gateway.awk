# The table of bench/gateway: medians of the rounds, [least-most], and each bar with what was reached.
function shown(target, measure, scale, digits,    m) {
	if (!((target, measure) in values)) return "-"
	m = median(values[target, measure])
	return sprintf("%.*f [%.*f-%.*f]", digits, m / scale, digits, least / scale, digits, most / scale)
}
function of(target, measure) { return median(values[target, measure]) }
function added(target, measure) { return of(target, measure) - of("direct", measure) }
function row(title, measure, scale, digits,    line, t) {
	line = title
	for (t = 1; t <= n_targets; t++) line = line "\t" shown(targets[t], measure, scale, digits)
	print line
}
function bar(title, ok, reached, wanted, unit) {
	printf "%s\t%s\t%s %s\t%s\n", title, ok ? "met" : "MISSED", reached, unit, wanted
}
function have(target, measure) { return (target, measure) in values }
function at_most(title, reached, most_, unit) { bar(title, reached <= most_, sprintf("%.1f", reached), sprintf("at most %.1f", most_), unit) }
function at_least(title, reached, least_, unit) { bar(title, reached >= least_, sprintf("%.2f", reached), sprintf("at least %.2f", least_), unit) }
BEGIN { n_targets = split("direct nginx nginx+log haproxy portkey tandem tandem+guard", targets, " ") }
{ values[$1, $2] = values[$1, $2] " " $3 }
END {
	line = "median [least-most]"
	for (t = 1; t <= n_targets; t++) line = line "\t" targets[t]
	print line
	row("whole, 1 connection: p50, us", "c1 p50", 1, 0)
	row("whole, 1 connection: requests/s", "c1 rps", 1, 0)
	row("whole, 16 connections: requests/s", "c16 rps", 1, 0)
	row("whole, 64 connections: requests/s", "c64 rps", 1, 0)
	row("40 pieces, 16 connections: streams/s", "streams streams_s", 1, 0)
	row("first piece, back to back: p50, us", "first first_p50", 1, 0)
	row("first piece, back to back: p99, us", "first first_p99", 1, 0)
	row("first piece, 2 ms apart: p50, us", "paced first_p50", 1, 0)
	row("first piece, 2 ms apart: p99, us", "paced first_p99", 1, 0)
	row("1,000 streams, 20/s: late p50, ms", "held late_p50", 1000, 2)
	row("1,000 streams, 20/s: late p99, ms", "held late_p99", 1000, 2)
	row("1,000 streams, 20/s: failed", "held failed", 1, 0)
	row("start to ready, ms", "start us", 1000, 1)
	row("resident, idle, MB", "memory idle", 1000, 1)
	row("resident, after load, MB", "memory loaded", 1000, 1)
	print ""
	print "bar\t\treached\twanted"
	if (have("tandem", "c1 p50")) {
		at_most("added p50, routing and ledger", added("tandem", "c1 p50"), added("nginx", "c1 p50") + 15, "us")
		at_most("added p50, mask and guard", added("tandem+guard", "c1 p50"), added("nginx", "c1 p50") + 60, "us")
	}
	for (c = 16; c <= 64; c *= 4) {
		if (!have("tandem", "c" c " rps")) continue
		n = of("nginx", "c" c " rps")
		at_least("requests/s at " c ", routing and ledger", of("tandem", "c" c " rps") / n, 0.8, "of nginx")
		at_least("requests/s at " c ", mask and guard", of("tandem+guard", "c" c " rps") / n, 0.5, "of nginx")
		if (have("portkey", "c" c " rps"))
			at_least("requests/s at " c ", routing and ledger", of("tandem", "c" c " rps") / of("portkey", "c" c " rps"), 20, "times Portkey")
	}
	if (have("tandem+guard", "streams streams_s"))
		at_least("streams/s at 16, mask and guard", of("tandem+guard", "streams streams_s") / of("nginx", "streams streams_s"), 0.9, "of nginx")
	if (have("tandem", "first first_p50")) {
		at_most("added time to first piece, p50", added("tandem", "first first_p50"), 80, "us")
		at_most("added time to first piece, p99", added("tandem", "first first_p99"), 300, "us")
	}
	if (have("tandem", "held late_p99")) {
		at_most("1,000 streams: late p99", of("tandem", "held late_p99") / 1000, 20, "ms")
		at_most("1,000 streams: failed", of("tandem", "held failed"), 0, "")
	}
	if (have("tandem", "start us")) at_most("start to ready", of("tandem", "start us") / 1000, 15, "ms")
	if (have("tandem", "memory idle")) {
		at_most("resident, idle", of("tandem", "memory idle") / 1000, 12, "MB")
		at_most("resident, after load", of("tandem", "memory loaded") / 1000, 32, "MB")
	}
}
