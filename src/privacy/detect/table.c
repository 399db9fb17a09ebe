// Table: see table.h. A table is a line of short names with the same separator between them, and lines below it with as
// many cells. Linear in the text, and little work for a byte of it: of a text with very short lines, or very many names
// of columns, only the beginning is read for tables.
#include "privacy/detect/table.h"
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define MOST_COLUMNS 64
#define LONGEST_NAME 48 // bytes of a column's name
#define MOST_BLANKS 3   // inside of one
#define MOST_NAMES 512  // that are read in one text: reading one takes as long as a thousand bytes of text
#define FEW_LINES 256   // with separators that are read in vain, and one more for so many bytes:
#define BYTES_A_LINE 64

struct line {
	size_t start, end;
	char separator; // 0: there is none
	size_t n;       // cells
};

struct reader {
	struct tdm_scanner *scanner;
	struct tdm_arena *arena;
	const char *text;
	size_t n;
	struct tdm_cells *out;
	struct tdm_error *error;
	uint64_t (*rows)[TDM_ENTITY_SETS]; // of the columns
	size_t n_names, n_lines;           // read so far; lines: in vain
};

static bool blank(char c) {
	return c == ' ' || c == '\r' || c == '\t';
}

// The cell that begins at *at, without blanks and quotation marks around it; moves *at behind its separator.
static void next_cell(const char *t, size_t *at, const struct line *line, size_t *start, size_t *end) {
	size_t i = *at;
	while (i < line->end && t[i] == ' ')
		i++;
	bool quoted = i < line->end && t[i] == '"';
	*start = i += quoted;
	while (i < line->end && (quoted ? t[i] != '"' : t[i] != line->separator))
		i++;
	*end = i;
	while (*end > *start && blank(t[*end - 1]))
		--*end;
	while (i < line->end && t[i] != line->separator)
		i++;
	*at = i + 1;
}

// Bars at both ends of a line of Markdown are no separators.
static void without_edges(const char *t, struct line *line) {
	while (line->start < line->end && blank(t[line->start]))
		line->start++;
	line->start += line->start < line->end && t[line->start] == '|';
	line->end -= line->end > line->start && t[line->end - 1] == '|';
}

// The line that begins at `start`, by its separator or the one that is asked for.
static struct line line_at(const char *t, size_t n, size_t start, char wanted) {
	static const char separators[] = "|\t;,";
	const char *nl = memchr(t + start, '\n', n - start);
	struct line line = {.start = start, .end = nl ? (size_t)(nl - t) : n};
	while (line.end > line.start && blank(t[line.end - 1]))
		line.end--;
	for (const char *s = separators; *s && !line.separator; s++)
		if ((!wanted || wanted == *s) && memchr(t + line.start, *s, line.end - line.start))
			line.separator = *s;
	if (line.separator == '|')
		without_edges(t, &line);
	for (size_t at = line.start, from, to; line.separator && at <= line.end && line.n <= MOST_COLUMNS; line.n++)
		next_cell(t, &at, &line, &from, &to);
	return line;
}

static size_t next_line(const char *t, size_t n, size_t at) {
	const char *nl = memchr(t + at, '\n', n - at);
	return nl ? (size_t)(nl - t) + 1 : n;
}

// "--- | :---:" below the heading of a table of Markdown.
static bool is_rule(const char *t, const struct line *line) {
	size_t dashes = 0;
	for (size_t i = line->start; i < line->end; i++) {
		dashes += t[i] == '-';
		if (!strchr("-:| ", t[i]))
			return false;
	}
	return dashes > 2;
}

// A short name: letters first, few words, no long number.
static bool is_name(const char *t, size_t start, size_t end) {
	size_t blanks = 0, digits = 0;
	bool letters = false;
	for (size_t i = start; i < end; i++) {
		blanks += t[i] == ' ';
		digits += t[i] >= '0' && t[i] <= '9';
		letters = letters || (unsigned char)((t[i] | 32) - 'a') < 26 || (unsigned char)t[i] >= 0x80;
		if (strchr(".?!=<>{}@", t[i]) && !(t[i] == '.' && i + 1 < end && blanks == 0))
			return false;
	}
	return letters && end - start <= LONGEST_NAME && blanks <= MOST_BLANKS && digits < 3;
}

static bool is_heading(const char *t, const struct line *line) {
	if (line->n < 2 || line->n > MOST_COLUMNS)
		return false;
	size_t at = line->start, start, end, named = 0;
	for (size_t i = 0; i < line->n; i++) {
		next_cell(t, &at, line, &start, &end);
		if (start < end && !is_name(t, start, end))
			return false;
		named += start < end;
	}
	return named > 1;
}

// --- what the name of a column says

// Names without blanks, '_' and '-'. The weak ones count only beside a column about people: they also name goods, files
// and parameters.
static const char about_people[] =
    " ssn socialsecuritynumber dob dateofbirth birthdate birthday email emailaddress mail phone phonenumber mobile "
    "mobilenumber telephone tel passport passportnumber iban accountnumber creditcard cardnumber mrn patientid "
    "nationalid taxid salary gender sex age telefon geburtsdatum téléphone teléfono телефон 电话 電話 전화 ";
static const struct {
	const char *id, *names, *weak;
} meanings[] = {
    {"PERSON",
     " fullname firstname lastname surname givenname familyname middlename forename customername clientname "
     "patientname "
     "employeename patient employee cardholder cardholdername accountholder contactname contactperson applicant "
     "beneficiary attendee passenger guestname studentname nameofcustomer nameofpatient vorname nachname familienname "
     "prénom nomcomplet nomdefamille nombrecompleto apellido apellidos nomecompleto cognome sobrenome voornaam "
     "achternaam имяифамилия фамилия фио отчество ім'я прізвище ονοματεπώνυμο επώνυμο 姓名 氏名 お名前 성명 "
     "الاسمالكامل ",
     " name names customer client contact owner member student guest tenant user author manager doctor nom nombre nome "
     "naam kunde mitarbeiter имя όνομα 名前 名字 이름 الاسم "},
    {"ADDRESS",
     " address streetaddress homeaddress mailingaddress postaladdress billingaddress shippingaddress addressline1 "
     "addressline2 adresse anschrift direccion dirección indirizzo endereço adres адрес διεύθυνση 地址 住所 주소 "
     "العنوان ",
     " street zip zipcode postalcode postcode plz codepostal código cap "},
    {"ORG", " employer companyname employername ", " company organization organisation firm firma société empresa "},
    {"PLACE", " placeofbirth birthplace hometown ", " city town village location ort ville ciudad città cidade "},
    {"GROUP", " nationality religion ethnicity citizenship ", " race faith "},
    {"AGE", " age alter âge edad età idade возраст ", ""},
};

static size_t row_of(const char *id) {
	size_t i = 0;
	while (i + 1 < tdm_n_entities && strcmp(tdm_entities[i].id, id) != 0)
		i++;
	return i;
}

static bool lists(const char *names, const char *name) {
	return name[1] != ' ' && strstr(names, name) != NULL;
}

// " name " of a column in small letters, without blanks and underlines.
static void plain_name(const char *text, size_t n, char out[LONGEST_NAME + 3]) {
	size_t m = 0;
	out[m++] = ' ';
	for (size_t i = 0; i < n; i++)
		if (!strchr(" _-*", text[i]))
			out[m++] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] + 32) : text[i];
	out[m++] = ' ';
	out[m] = 0;
}

static bool is_empty(const uint64_t rows[TDM_ENTITY_SETS]) {
	uint64_t all = 0;
	for (int i = 0; i < TDM_ENTITY_SETS; i++)
		all |= rows[i];
	return all == 0;
}

static bool add_meaning(uint64_t rows[TDM_ENTITY_SETS], const char *name, bool weak) {
	for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
		if (lists(weak ? meanings[i].weak : meanings[i].names, name)) {
			size_t row = row_of(meanings[i].id);
			rows[row / 64] |= UINT64_C(1) << row % 64;
			return true;
		}
	return false;
}

// What the words in the name speak for, but ages: "old" names them in a text, and in a table what was before.
static int add_words(struct reader *r, const char *text, size_t n, uint64_t rows[TDM_ENTITY_SETS]) {
	char name[LONGEST_NAME + 1];
	size_t age = row_of("AGE");
	snprintf(name, sizeof name, "%.*s", (int)n, text);
	int status = tdm_scanner_name(r->scanner, name, rows, r->error);
	for (size_t row = age; strcmp(tdm_entities[row].id, "AGE") == 0; row++)
		rows[row / 64] &= ~(UINT64_C(1) << row % 64);
	return status;
}

// Sets the rows of every column.
static int read_names(struct reader *r, const struct line *line) {
	char name[LONGEST_NAME + 3];
	size_t at = line->start, start, end;
	bool people = false;
	int status = TDM_OK;
	r->n_names += line->n;
	r->rows = tdm_arena_array(r->arena, line->n, sizeof *r->rows);
	if (!r->rows)
		return tdm_fail(r->error, TDM_ENOMEM, "mask: no memory for the columns of a table; nothing was sent");
	memset(r->rows, 0, line->n * sizeof *r->rows);
	for (size_t i = 0; i < line->n && status == TDM_OK; i++) {
		next_cell(r->text, &at, line, &start, &end);
		plain_name(r->text + start, end - start, name);
		status = add_words(r, r->text + start, end - start, r->rows[i]);
		people = add_meaning(r->rows[i], name, false) || lists(about_people, name) || people;
	}
	at = line->start;
	for (size_t i = 0; i < line->n && people; i++) {
		next_cell(r->text, &at, line, &start, &end);
		plain_name(r->text + start, end - start, name);
		add_meaning(r->rows[i], name, true);
	}
	return status;
}

// --- its cells

static int add_cell(struct reader *r, size_t start, size_t end, const uint64_t *rows) {
	struct tdm_cells *out = r->out;
	if (out->n == out->cap) {
		size_t cap = out->cap ? out->cap * 2 : 64;
		struct tdm_cell *items = tdm_arena_array(r->arena, cap, sizeof *items);
		if (!items)
			return tdm_fail(r->error, TDM_ENOMEM, "mask: no memory for the cells of a table; nothing was sent");
		if (out->n)
			memcpy(items, out->items, out->n * sizeof *items);
		out->items = items;
		out->cap = cap;
	}
	out->items[out->n++] = (struct tdm_cell){(uint32_t)start, (uint32_t)end, rows};
	return TDM_OK;
}

static bool goes_on(const struct reader *r) {
	return r->n_names < MOST_NAMES && r->n_lines < FEW_LINES + r->n / BYTES_A_LINE;
}

// The lines below the heading at line; *at: behind the last one that belongs to the table.
static int read_body(struct reader *r, const struct line *heading, size_t *at) {
	int status = TDM_OK;
	bool any = false;
	for (size_t i = 0; i < heading->n; i++)
		any = any || !is_empty(r->rows[i]);
	while (*at < r->n && status == TDM_OK && goes_on(r)) {
		struct line line = line_at(r->text, r->n, *at, heading->separator);
		if (line.n != heading->n)
			return TDM_OK;
		size_t from = line.start, start, end;
		for (size_t i = 0; any && i < line.n && status == TDM_OK; i++) {
			next_cell(r->text, &from, &line, &start, &end);
			if (start < end && !is_empty(r->rows[i]))
				status = add_cell(r, start, end, r->rows[i]);
		}
		*at = next_line(r->text, r->n, *at);
		r->n_lines += !any;
	}
	return status;
}

int tdm_table_find(struct tdm_scanner *scanner, struct tdm_arena *arena, const char *text, size_t n,
                   struct tdm_cells *out, struct tdm_error *err) {
	struct reader r = {.scanner = scanner, .arena = arena, .text = text, .n = n, .out = out, .error = err};
	int status = TDM_OK;
	*out = (struct tdm_cells){0};
	for (size_t at = 0, below; status == TDM_OK && at < n && goes_on(&r); at = below) {
		below = next_line(text, n, at);
		if (below == n)
			return TDM_OK;
		struct line heading = line_at(text, n, at, 0), next = line_at(text, n, below, heading.separator);
		r.n_lines += heading.separator != 0;
		if (!heading.separator || next.n != heading.n || !is_heading(text, &heading))
			continue;
		if (heading.separator == '|' && is_rule(text, &next))
			below = next_line(text, n, below);
		status = read_names(&r, &heading);
		if (status == TDM_OK)
			status = read_body(&r, &heading, &below);
	}
	return status;
}
