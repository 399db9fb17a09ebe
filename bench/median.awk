# The median of a list of numbers, and in passing least, most and count.
function median(list,    v, n, i, j, t) {
	n = split(list, v, " ")
	for (i = 2; i <= n; i++)
		for (j = i; j > 1 && v[j] + 0 < v[j - 1] + 0; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
	least = v[1] + 0; most = v[n] + 0; count = n
	return v[int((n + 1) / 2)] + 0
}
