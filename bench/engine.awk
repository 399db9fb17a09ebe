# Figures of bench/engine to a table: medians, the best of the peers, our ratio to it, and the bar where there is one.
# in:  engine, shape, format, threads, test, tokens, depth, tokens/s
# what the ratio to the best peer ought to be; 0: no bar
function bar_of(shape, format, threads, test, depth) {
	if (test == "prompt") return format == "f16" ? 1.1 : 1.2
	if (test == "decode" && depth > 0) return 1.15
	if (test == "decode") return threads == 1 ? 1.25 : shape == "135m" ? 1.2 : 1.05
	return 0
}
{
	cell = $2 "\t" $3 "\t" $4 "\t" $5 "\t" $6 "\t" $7
	if (!(cell in seen)) { seen[cell] = 1; cells[++n_cells] = cell }
	values[cell, $1] = values[cell, $1] " " $8
}
END {
	n_peers = split(names, peer, "\n")
	printf "shape\tformat\tthreads\ttest\ttokens\tdepth\ttandem\tspread\trounds"
	for (i = 1; i <= n_peers; i++) printf "\t%s", peer[i]
	print "\tratio\tof one\ttheirs\tbar\twins"
	for (c = 1; c <= n_cells; c++) {
		cell = cells[c]; split(cell, f, "\t")
		us = median(values[cell, "tandem"]); spread = sprintf("%.4g-%.4g", least, most); rounds = count; best = 0; peers_one = 0
		one = f[1] "\t" f[2] "\t" f[3] "\tverify\t1\t" f[6]
		line = ""
		for (i = 1; i <= n_peers; i++) {
			them = median(values[cell, peer[i]]); line = line "\t" (them ? sprintf("%.4g", them) : "-")
			if (them > best) best = them
			alone = f[4] == "verify" ? median(values[one, peer[i]]) : 0
			cost = them && alone ? f[5] / them * alone : 0
			if (cost && (!peers_one || cost < peers_one)) peers_one = cost
		}
		ratio = best && us ? us / best : 0
		cost = f[4] == "verify" && us ? f[5] / us * median(values[one, "tandem"]) : 0
		bar = bar_of(f[1], f[2], f[3], f[4], f[6]); shown = bar ? sprintf(">= %.2f", bar) : "-"; met = ratio >= bar
		if (f[4] == "verify" && f[1] == "1.1b" && f[2] != "f16" && f[3] == 2 && (f[5] == 4 || f[5] == 8)) {
			bar = f[5] == 4 ? 1.2 : 1.5; shown = sprintf("<= %.2f of one", bar); met = cost <= bar
		}
		if (f[4] == "load" || f[4] == "resident") { shown = f[4] == "load" && f[1] == "1.1b" ? "< 1 s" : "-"; bar = shown != "-"; met = us < 1 }
		if (!ratio && (f[4] == "prompt" || f[4] == "decode")) bar = 0 # nobody to compare with
		printf "%s\t%.4g\t%s\t%d%s\t%s\t%s\t%s\t%s\t%s\n", cell, us, spread, rounds, line, ratio ? sprintf("%.2f", ratio) : "-",
			cost ? sprintf("%.2f", cost) : "-", peers_one ? sprintf("%.2f", peers_one) : "-", shown,
			ratio ? (ratio >= 1 ? "tandem" : "peer") (bar ? met ? ", bar met" : ", below the bar" : "") : bar ? met ? "bar met" : "below the bar" : "-"
	}
}
