// Contact: where something or somebody is to be found: links, names of hosts, names of users (alone and in paths of
// files), addresses of network cards, positions on the earth. E-mail and IP addresses are in address.c.
#include "privacy/detect/contact.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool digit(char c) {
	return c >= '0' && c <= '9';
}
static bool alnum(char c) {
	return digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
static bool hex(char c) {
	return digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool listed(const char *const *list, const char *text, size_t n) {
	for (; *list; list++)
		if (strlen(*list) == n && strncasecmp(*list, text, n) == 0)
			return true;
	return false;
}

// --- links and hosts

static bool url_character(char c) {
	return (unsigned char)c > ' ' && !strchr("\"'<>`\\{}|^", c);
}

// The punctuation of the sentence behind it is no part of a link; a closing bracket is when it was opened inside.
static size_t trim_url(const char *t, size_t start, size_t end) {
	int open = 0;
	for (size_t i = start; i < end; i++)
		open += t[i] == '(' ? 1 : t[i] == ')' ? -1 : 0;
	while (end > start && strchr(".,;:!?)]*", t[end - 1]) && !(t[end - 1] == ')' && open >= 0)) {
		open += t[end - 1] == ')';
		end--;
	}
	return end;
}

// The anchor ends behind the first character of the host.
enum tdm_check tdm_check_url(struct tdm_candidate *c) {
	size_t host = c->anchor - 1, i = host;
	if (i > 3 && strncmp(c->text + i - 3, "://", 3) == 0)
		for (i -= 3; i > 0 && alnum(c->text[i - 1]) && host - i < 16;)
			i--;
	else
		for (i = i > 3 ? i - 4 : 0; i > 0 && c->text[i] != 'w' && c->text[i] != 'W';) // "www."
			i--;
	c->start = i;
	c->end = host;
	while (c->end < c->n && url_character(c->text[c->end]))
		c->end++;
	c->end = trim_url(c->text, c->start, c->end);
	return c->end > host && alnum(c->text[i]) && i < host ? TDM_CHECK_ABSTAIN : TDM_CHECK_NONE;
}

// What stands behind the name of a host: not more of a name, no call, no address.
static bool host_goes_on(const char *t, size_t i) {
	return alnum(t[i]) || (t[i] && strchr("-_(@\\", t[i])) || (t[i] == '.' && alnum(t[i + 1]));
}

// Where the host that ends at text[end) begins.
static size_t host_start(const char *t, size_t end) {
	size_t i = end;
	while (i > 0 && end - i < 254 && (alnum(t[i - 1]) || t[i - 1] == '-' || t[i - 1] == '.'))
		i--;
	while (i < end && !alnum(t[i]))
		i++;
	return i;
}

// The anchor ends behind a last label that exists. A letter in front of it tells a name from a number with a unit.
enum tdm_check tdm_check_domain(struct tdm_candidate *c) {
	const char *t = c->text;
	size_t last = c->anchor, letters = 0;
	if (host_goes_on(t, c->anchor))
		return TDM_CHECK_NONE;
	c->start = host_start(t, c->anchor);
	c->end = c->anchor;
	while (last > c->start && t[last - 1] != '.')
		last--;
	for (size_t i = c->start; i < last; i++)
		letters += alnum(t[i]) && !digit(t[i]);
	bool other = c->start > 0 && strchr("@_\\$%", t[c->start - 1]);
	return letters && !other && c->end - c->start >= 4 ? TDM_CHECK_ABSTAIN : TDM_CHECK_NONE;
}

// --- names of users

static bool name_character(char c) {
	return alnum(c) || c == '_' || c == '.' || c == '-';
}

static size_t name_end(const char *t, size_t start) {
	size_t i = start;
	while (name_character(t[i]) && i - start < 65)
		i++;
	while (i > start && strchr(".-", t[i - 1]))
		i--;
	return i;
}

// A call, a path, a part or a definition behind the name.
static bool of_a_program(const char *behind) {
	bool joins = (*behind == '.' || *behind == ':') && alnum(behind[1]);
	return joins || (*behind && strchr("(/@{[", *behind)) || (*behind == ' ' && (behind[1] == ':' || behind[1] == '='));
}

// "@name" alone in its line, before a definition; or a command of a makefile.
static bool is_mark(const char *t, size_t start, size_t end) {
	static const char *const definitions[] = {"def",       "class",  "async",    "public", "private",
	                                          "protected", "static", "function", "export", "final",
	                                          "abstract",  "void",   NULL};
	size_t line = start - 1, next = end;
	while (line > 0 && (t[line - 1] == ' ' || t[line - 1] == '\t'))
		line--;
	if (line > 0 && t[line - 1] != '\n')
		return false;
	if (start > 1 && t[start - 2] == '\t' && t[end] == ' ')
		return true;
	if (t[next] != '\n')
		return false;
	while (t[next] == '\n' || t[next] == ' ' || t[next] == '\t')
		next++;
	return t[next] == '@' || listed(definitions, t + next, strcspn(t + next, " \t\n(:"));
}

// "@name" that is no mark of a programming language and no part of an address.
enum tdm_check tdm_check_handle(struct tdm_candidate *c) {
	static const char *const marks[] = {
	    "param",     "return",     "returns",   "override",     "media",          "import",    "deprecated", "see",
	    "throws",    "author",     "test",      "before",       "after",          "keyframes", "props",      "property",
	    "since",     "version",    "dataclass", "staticmethod", "classmethod",    "autowired", "component",  "bean",
	    "entity",    "link",       "type",      "todo",         "here",           "everyone",  "channel",    "example",
	    "user",      "username",   "noon",      "all",          "home",           "pytest",    "app",        "router",
	    "mock",      "click",      "work",      "interface",    "implementation", "end",       "class",      "selector",
	    "font-face", "include",    "mixin",     "extend",       "layer",          "apply",     "tailwind",   "nullable",
	    "inject",    "injectable", "input",     "output",       "abstractmethod", "handle",    NULL};
	size_t start = c->anchor;
	while (start > 0 && c->text[start - 1] != '@')
		start--;
	c->start = start;
	c->end = name_end(c->text, start);
	char before = start > 1 ? c->text[start - 2] : ' ';
	if (name_character(before) || (unsigned char)before >= 0x80 || strchr("/@\"", before))
		return TDM_CHECK_NONE;
	size_t n = c->end - c->start, first = strcspn(c->text + start, ".");
	bool mark = listed(marks, c->text + start, first < n ? first : n);
	if (mark || of_a_program(c->text + c->end) || is_mark(c->text, start, c->end))
		return TDM_CHECK_NONE;
	return n >= 3 && n <= 39 ? TDM_CHECK_ABSTAIN : TDM_CHECK_NONE;
}

// Where the value may begin: behind ':' or '=' (the anchor may hold it), or behind "name is". 0: nowhere.
static size_t value_after(const char *t, size_t anchor) {
	size_t i = anchor + (t[anchor] == '"' || t[anchor] == '\'');
	if (strchr(":=", t[anchor - 1]))
		return anchor;
	while (t[i] == ' ')
		i++;
	if (t[i] == ':' || t[i] == '=')
		return i + 1;
	return strncasecmp(t + anchor - 2, "me is ", 6) == 0 ? anchor + 3 : 0;
}

enum tdm_check tdm_check_user_name(struct tdm_candidate *c) {
	static const char *const words[] = {"and",  "or",    "the",     "is",        "not",      "null", "none",
	                                    "true", "false", "your",    "my",        "name",     "with", "for",
	                                    "this", "that",  "string",  "str",       "required", "text", "here",
	                                    "from", "empty", "unknown", "undefined", "password", NULL};
	const char *t = c->text;
	size_t i = value_after(t, c->anchor);
	if (i == 0)
		return TDM_CHECK_NONE;
	while (t[i] && strchr(" \"'`@", t[i]))
		i++;
	c->start = i;
	c->end = name_end(t, i);
	size_t n = c->end - c->start;
	bool member = !strncmp(t + i, "self.", 5) || !strncmp(t + i, "this.", 5);
	bool opens = member || (t[c->end] && strchr("(@{[<$", t[c->end]));
	return n >= 3 && n <= 64 && !opens && !listed(words, t + i, n) ? TDM_CHECK_ABSTAIN : TDM_CHECK_NONE;
}

// A path of a page, in which /home/ is nobody's folder; "file://" has the paths of a machine.
static bool in_address(const struct tdm_candidate *c) {
	size_t i = c->anchor;
	while (i > 0 && c->anchor - i < 200 && (unsigned char)c->text[i - 1] > ' ' && !strchr("\"'(<`", c->text[i - 1]))
		i--;
	return !strncasecmp(c->text + i, "http://", 7) || !strncasecmp(c->text + i, "https://", 8);
}

// The part behind /home/, /Users/ or \Users\ is somebody's name.
enum tdm_check tdm_check_path(struct tdm_candidate *c) {
	static const char *const nobody[] = {"shared",   "public", "default", "user",    "username",  "runner",    "you",
	                                     "yourname", "ubuntu", "node",    "app",     "admin",     "root",      "guest",
	                                     "all",      "name",   "build",   "vagrant", "your-name", "your_name", NULL};
	size_t n;
	c->start = c->anchor - 1;
	while (c->text[c->start] == '\\') // written in a string of a program
		c->start++;
	c->end = name_end(c->text, c->start);
	n = c->end - c->start;
	bool named = n >= 2 && n <= 40 && !listed(nobody, c->text + c->start, n);
	return named && !in_address(c) ? TDM_CHECK_ABSTAIN : TDM_CHECK_NONE;
}

// --- devices and places

// Groups of `width` hexadecimal digits that end at text[*i), with this separator between; moves *i to the first of
// them.
static int groups_before(const char *t, size_t *i, size_t width, char separator) {
	for (int groups = 0;; --*i) {
		for (size_t k = 0; k < width; k++, --*i)
			if (*i == 0 || !hex(t[*i - 1]))
				return 0;
		if (++groups == 9 || *i == 0 || t[*i - 1] != separator)
			return groups;
	}
}

static bool all_zero(const char *t, size_t start, size_t end) {
	while (start < end && (t[start] == '0' || !hex(t[start])))
		start++;
	return start == end;
}

// Six or eight pairs, or three groups of four between points; one kind of separator.
enum tdm_check tdm_check_mac(struct tdm_candidate *c) {
	const char *t = c->text;
	size_t i = c->anchor - 1;
	c->end = i;
	char separator = t[i - 5] == '.' ? '.' : t[i - 3]; // the anchor has 14 characters at least
	int groups = groups_before(t, &i, separator == '.' ? 4 : 2, separator);
	c->start = i;
	bool right = separator == '.' ? groups == 3 : groups == 6 || groups == 8;
	bool before = i > 0 && (alnum(t[i - 1]) || strchr(":-.", t[i - 1]));
	bool behind = alnum(t[c->end]) || (t[c->end] == separator && hex(t[c->end + 1]));
	return right && !before && !behind && !all_zero(t, i, c->end) ? TDM_CHECK_ABSTAIN : TDM_CHECK_NONE;
}

static bool number_character(char c) {
	return digit(c) || c == '.' || c == '-' || c == '+';
}

// Digits behind the only point of text[start..end); 0 when it has none or several.
static size_t decimals(const char *t, size_t start, size_t end) {
	const char *point = memchr(t + start, '.', end - start);
	size_t behind = point ? end - (size_t)(point - t) - 1 : 0;
	return point && strspn(point + 1, "0123456789") == behind ? behind : 0;
}

// A number with four decimals or more that ends at text[*i); moves *i to its first character. False when it is none.
static bool number_before(const char *t, size_t *i, double *out) {
	size_t end = *i;
	for (size_t k = 1; k <= 4; k++)
		if (k > end || !digit(t[end - k]))
			return false;
	while (*i > 0 && number_character(t[*i - 1]) && end - *i < 24)
		--*i;
	if (end - *i < 6 || decimals(t, *i, end) < 4)
		return false;
	*out = strtod(t + *i, NULL);
	return true;
}

// Degrees of latitude and longitude; the anchor holds the character behind.
enum tdm_check tdm_check_position(struct tdm_candidate *c) {
	size_t i = c->anchor - 1;
	double longitude, latitude;
	if (c->number.starts & 7) // fewer than four decimals: most often
		return TDM_CHECK_NONE;
	c->end = i;
	if (!number_before(c->text, &i, &longitude))
		return TDM_CHECK_NONE;
	while (i > 0 && c->end - i < 24 && strchr(" ,;", c->text[i - 1]))
		i--;
	if (!number_before(c->text, &i, &latitude))
		return TDM_CHECK_NONE;
	c->start = i;
	bool edge = i == 0 || !(alnum(c->text[i - 1]) || c->text[i - 1] == ',');
	bool on_earth = latitude >= -90 && latitude <= 90 && longitude >= -180 && longitude <= 180;
	return on_earth && edge ? TDM_CHECK_ABSTAIN : TDM_CHECK_NONE;
}
