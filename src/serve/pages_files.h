// The files of web/ inside the program, one row each: X(symbol, path of the URL, file, media type).
// A new file of web/: a row here. pages_data.S takes the bytes from it, pages.c the rest, so it holds nothing else.
#define TDM_PAGES(X)                                                    \
	X(index, "/", "web/index.html", HTML)                               \
	X(admin, "/admin", "web/admin.html", HTML)                          \
	X(seen, "/seen", "web/seen.html", HTML)                             \
	X(seen_css, "/web/seen.css", "web/seen.css", CSS)                   \
	X(seen_js, "/web/seen.js", "web/seen.js", SCRIPT)                   \
	X(icon_svg, "/web/icon.svg", "web/icon.svg", SVG)                   \
	X(base_css, "/web/base.css", "web/base.css", CSS)                   \
	X(playground_css, "/web/playground.css", "web/playground.css", CSS) \
	X(admin_css, "/web/admin.css", "web/admin.css", CSS)                \
	X(dom_js, "/web/dom.js", "web/dom.js", SCRIPT)                      \
	X(units_js, "/web/units.js", "web/units.js", SCRIPT)                \
	X(key_js, "/web/key.js", "web/key.js", SCRIPT)                      \
	X(api_js, "/web/api.js", "web/api.js", SCRIPT)                      \
	X(authors_js, "/web/authors.js", "web/authors.js", SCRIPT)          \
	X(tree_js, "/web/tree.js", "web/tree.js", SCRIPT)                   \
	X(receipt_js, "/web/receipt.js", "web/receipt.js", SCRIPT)          \
	X(turn_js, "/web/turn.js", "web/turn.js", SCRIPT)                   \
	X(playground_js, "/web/playground.js", "web/playground.js", SCRIPT) \
	X(plot_js, "/web/plot.js", "web/plot.js", SCRIPT)                   \
	X(tables_js, "/web/tables.js", "web/tables.js", SCRIPT)             \
	X(admin_js, "/web/admin.js", "web/admin.js", SCRIPT)
