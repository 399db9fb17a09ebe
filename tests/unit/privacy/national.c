// Numbers of the packs: published examples of the authorities, the same with a wrong check digit, and of every row with
// a check twenty made up that pass and twenty that do not.
#include "tests.h"
#include "base/random.h"
#include "privacy/detect/compact.h"
#include "privacy/detect/evidence.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct best {
	const char *id, *label;
	float score;
	size_t start, end;
	bool passed; // a row of this id was found, and not for a word alone
	const char *wanted;
};

static int keep_best(void *arg, const struct tdm_candidate *c, float score) {
	struct best *b = arg;
	if (b->wanted && strcmp(b->wanted, c->entity->id) == 0 && score >= .45f && c->entity != tdm_entity_number)
		b->passed = true;
	if (c->end - c->start > b->end - b->start || (c->end - c->start == b->end - b->start && score > b->score)) {
		b->id = c->entity->id;
		b->label = c->entity->label;
		b->score = score;
		b->start = c->start;
		b->end = c->end;
	}
	return TDM_OK;
}

static struct best look(const char *text, const char *wanted) {
	struct best best = {.id = "", .label = "", .wanted = wanted};
	struct tdm_scan scan;
	assert_int_equal(tdm_scanner_scan(shared_scanner(), text, strlen(text), &scan, NULL), TDM_OK);
	assert_int_equal(tdm_evidence(&scan, text, strlen(text), 3, false, keep_best, &best), TDM_OK);
	tdm_scan_release(&scan);
	return best;
}

static const char *const examples[][2] = {
    {"itin 912-70-1234", "US_ITIN"},
    {"npi 1234567893", "US_NPI"},
    {"AB1234563", "US_DEA"},
    {"1EG4-TE5-MK73", "US_MBI"},
    {"routing 021000021", "US_ABA"},
    {"ein 12-3456789", "US_EIN"},
    {"sin 046 454 286, no: 130 692 544", "CA_SIN"},
    {"HEGG560427MVZRRL04", "MX_CURP"},
    {"cpf 111.444.777-35", "BR_CPF"},
    {"11.222.333/0001-81", "BR_CNPJ"},
    {"cnpj 12.ABC.345/01DE-35", "BR_CNPJ"},
    {"rut 12.345.678-5", "CL_RUT"},
    {"cuit 20-12345678-6", "AR_CUIT"},
    {"nhs 943 476 5919", "UK_NHS"},
    {"AB 12 34 56 C", "UK_NINO"},
    {"utr 1955839661", "UK_UTR"},
    {"MORGA657054SM9IJ", "UK_DL"},
    {"postcode SW1A 1AA", "UK_POSTCODE"},
    {"idnr 86 095 742 719", "DE_STEUER_ID"},
    {"15 070649 C 103", "DE_RVNR"},
    {"kvnr A123456780", "DE_KVNR"},
    {"DE136695976", "EU_VAT"},
    {"FR 83 404 833 048", "EU_VAT"},
    {"2 55 08 14 168 025 38", "FR_NIR"},
    {"12345678Z", "ES_DNI"},
    {"X1234567L", "ES_NIE"},
    {"cif A58818501", "ES_CIF"},
    {"MRTMTT25D09F205Z", "IT_CF"},
    {"partita iva 00743110157", "IT_PIVA"},
    {"bsn 1112.22.333", "NL_BSN"},
    {"85.07.30-033.28", "BE_NRN"},
    {"756.9217.0769.85", "CH_AHV"},
    {"pesel 44051401359", "PL_PESEL"},
    {"131052-308T", "FI_HETU"},
    {"131052A308T", "FI_HETU"},
    {"personnummer 811218-9876", "SE_PNR"},
    {"cpr 211062-5629", "DK_CPR"},
    {"aadhaar 2341 2341 2346", "IN_AADHAAR"},
    {"ABCPE1234F", "IN_PAN"},
    {"27AAPFU0939F1ZV", "IN_GSTIN"},
    {"passport A1234567", "IN_PASSPORT"},
    {"11010519491231002X", "CN_RIC"},
    {"my number 1234 5678 9018", "JP_MYNUMBER"},
    {"citizen id 1 2345 67890 12 1", "TH_TNIN"},
    {"tckn 10000000146", "TR_TCKN"},
    {"nric S1234567D", "SG_NRIC"},
    {"hkid A123456(3)", "HK_ID"},
    {"tfn 123 456 782", "AU_TFN"},
    {"abn 51 824 753 556", "AU_ABN"},
    {"acn 004 085 616", "AU_ACN"},
    {"medicare 2123 45670 1", "AU_MEDICARE"},
    {"identity 8001015009087", "ZA_ID"},
    {"zehut 123456782", "IL_ID"},
    {"1M8GDM9AXKP042788", "VIN"},
    {"imei 490154203237518", "IMEI"},
    {"US0378331005", "ISIN"},
    {"5493000IBP32UQZ0KL24", "LEI"},
    {"account 12345678", "BANK_ACCT"},
    {"mrn A-4711-22", "MRN"},
    {"nipt J91402501L", "TAX_ID"},
    {"nuit 400339910", "TAX_ID"},
    {"身份证11010519491231002X", "CN_RIC"},
    {"kennzeichen AB-123-CD", "PLATE"},
};

static void published_examples(void **state) {
	for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
		struct best best = look(examples[i][0], examples[i][1]);
		if (strcmp(best.id, examples[i][1]) != 0)
			fail_msg("%s: expected %s, found %s (%.2f, %zu-%zu)", examples[i][0], examples[i][1], best.id, best.score,
			         best.start, best.end);
	}
}

// A wrong check digit beside a word of context: still hidden, but never called what it is not.
static void a_wrong_check_digit_is_a_number(void **state) {
	static const char *const texts[] = {
	    "nhs 9434765918",     "pesel 44051401358",     "aadhaar 2341 2341 2345",    "tckn 10000000147",
	    "tfn 123 456 783",    "cpf 111.444.777-36",    "routing number: 021000022", "bsn 111222334",
	    "abn 51 824 753 557", "imei: 490154203237519", "idnr 86 095 742 718"};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct best best = look(texts[i], NULL);
		if (strcmp(best.label, "NUMBER") != 0 && best.score > .60f)
			fail_msg("%s: found %s (%.2f)", texts[i], best.id, best.score);
		assert_true(best.score >= .35f);
	}
}

static void left_alone(void **state) {
	static const char *const texts[] = {
	    "1690000000",
	    "1690000000000",
	    "version 10.20.30.40.50",
	    "at 00:24:48.123456789",
	    "550e8400-e29b-41d4-a716-446655440000",
	    "3.14159265358979",
	    "he is 5552671 and so on",
	    "sha256-47DEQpj8HBSa",
	    "12 15 18 22 31 45 61 77 12 15 18 22 31",
	    "page 12345 of 67890",
	    "2024 as well as 2025",
	    "at General Electric (1958-1968), and",
	    "pieces of 1908 \342\200\223 1923",
	    "l[::3] = sorted(l[::3]); a[1::2]",
	    "@number : integer",
	    "@total_ordering\nclass Version:\n    @_cached\n    def parts(self):",
	    "# Copyright (C) 2001-2007, see RFC 3513 2.5.6",
	    "user=self._handle",
	    "ISBN 978-3-16-148410-0 and ISBN 0-306-40615-2 are books",
	    "(arXiv 2310.12963, 2110.01052, 2502.19335, 2507.17307)",
	    "1680 - 1.0 / 1188, and 0.6 0.7 0.8 0.9",
	    "0x1234567890",
	};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct best best = look(texts[i], NULL);
		if (best.score > 0)
			fail_msg("%s: found %s (%.2f, %zu-%zu)", texts[i], best.id, best.score, best.start, best.end);
	}
}

static void pages_have_no_users(void **state) {
	assert_false(look("see https://example.org/home/help/add", "FILE_PATH").passed);
	assert_true(look("see file:///home/help/add", "FILE_PATH").passed);
	assert_false(look("wget -u https://example.org:8080/p", "password").passed);
	assert_true(look("wget -u anna:8080/p", "password").passed);
}

// Numbers one after the other, as in a table or a puzzle. Some read as a telephone number with its trunk 0.
static void lists_are_left_alone(void **state) {
	static const char *const between[] = {" ", ", ", ",", "\n", "; "};
	struct tdm_rng rng;
	tdm_rng_init(&rng, 11);
	for (size_t k = 0; k < sizeof between / sizeof *between; k++) {
		int found = 0;
		for (int i = 0; i < 5000; i++) {
			char text[256] = "in order: ";
			size_t n = strlen(text);
			for (uint64_t left = 4 + (tdm_rng_u64(&rng) >> 32) % 5; left > 0; left--)
				n += (size_t)snprintf(text + n, sizeof text - n, "%d%s", (int)((tdm_rng_u64(&rng) >> 32) % 100),
				                      between[k]);
			found += look(text, NULL).score > 0;
		}
		if (found > 50)
			fail_msg("\"%s\": something was found in %d of 5,000 lists", between[k], found);
	}
}

static void dates_are_left_alone(void **state) {
	char text[32];
	for (int day = 1; day <= 31; day++)
		for (int month = 1; month <= 12; month++)
			for (int form = 0; form < 4; form++) {
				static const char *const forms[] = {"call me on %3$d-%2$02d-%1$02d", "%1$02d.%2$02d.%3$d",
				                                    "%2$02d/%1$02d/%3$d", "%1$02d-%2$02d-%3$d"};
				snprintf(text, sizeof text, forms[form], day, month, 1900 + day * 4 + month);
				struct best best = look(text, NULL);
				if (best.score > 0 && strcmp(best.id, "DATE") != 0)
					fail_msg("%s: found %s (%.2f)", text, best.id, best.score);
			}
}

static size_t made_up(struct tdm_rng *rng, const char *shape, char *out) {
	size_t n = 0;
	for (const char *p = shape; *p && *p != ' ';) {
		char c = *p++;
		long times = 1;
		if (*p == '*') {
			char *end;
			times = strtol(p + 1, &end, 10);
			p = end;
		}
		for (; times > 0; times--) {
			uint64_t r = tdm_rng_u64(rng) >> 20;
			bool letter = c == 'A' || (c == 'X' && r % 3 == 0);
			char any = letter ? (char)('A' + r / 3 % 26) : (char)('0' + r / 3 % 10);
			out[n++] = c == '#' || c == 'A' || c == 'X' ? any : (char)toupper((unsigned char)c);
		}
	}
	out[n] = 0;
	return n;
}

// Right check digits do not help a province, a state, a county or a day that does not exist.
static void areas_and_days_that_do_not_exist_are_no_pass(void **state) {
	static const char *const rows[][2] = {
	    {"RO_CNP", "1630615993454"}, {"RO_CNP", "0800101221142"},       {"CN_RIC", "990426199112010074"},
	    {"KR_RRN", "9710139999904"}, {"MX_CURP", "PEGL890909MQQRMS02"}, {"UY_RUT", "991599340011"},
	    {"UY_RUT", "210000000019"},  {"IT_CF", "CNTCHR83T32D969H"},     {"FI_HETU", "131052000V"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		for (size_t k = 0; k < tdm_n_entities; k++)
			if (strcmp(tdm_entities[k].id, rows[i][0]) == 0 &&
			    tdm_compact_judge(&tdm_entities[k], rows[i][1], (int)strlen(rows[i][1])) == TDM_CHECK_PASS)
				fail_msg("%s passes as %s", rows[i][1], rows[i][0]);
}

// Numbers of random digits pass a check as often as its digits allow: neither never nor always. (That the right ones
// pass is shown by published numbers, above and in bench-identifiers.)
static void every_check_tells_numbers_apart(void **state) {
	struct tdm_rng rng;
	tdm_rng_init(&rng, 5);
	for (size_t i = 0; i < tdm_n_entities; i++) {
		const struct tdm_entity *row = &tdm_entities[i];
		int passed = 0, failed = 0, tries = 0;
		if (!row->shape || *row->shape == '?' || (!row->valid && !row->sum) || row->pack == NULL)
			continue;
		for (; tries < 3000000 && (passed < 20 || failed < 20); tries++) {
			char value[64];
			size_t n = made_up(&rng, row->shape, value);
			enum tdm_check verdict = tdm_compact_judge(row, value, (int)n);
			passed += verdict == TDM_CHECK_PASS;
			failed += verdict == TDM_CHECK_FAIL || verdict == TDM_CHECK_ABSTAIN || verdict == TDM_CHECK_NONE;
		}
		bool form_alone = row->valid && !row->sum && failed == 0;
		if (strcmp(row->id, "US_EIN") != 0 && !form_alone && (passed < 20 || failed < 20))
			fail_msg("%s: of %d made up %d pass and %d do not", row->id, tries, passed, failed);
	}
}

// The page lists every row, with its label and level.
static void the_page_has_the_table(void **state) {
	static char page[1 << 17];
	FILE *file = fopen("docs/masking.md", "r");
	assert_non_null(file);
	page[fread(page, 1, sizeof page - 1, file)] = 0;
	fclose(file);
	for (size_t i = 0; i < tdm_n_entities; i++) {
		const struct tdm_entity *row = &tdm_entities[i];
		char line[128];
		snprintf(line, sizeof line, "| `%s` | `%s` | %d | %s |", row->id, row->label, row->level,
		         row->pack ? row->pack : "");
		if (!strstr(page, line))
			fail_msg("docs/masking.md has no row %s (build/gcc/identifiers table prints them)", line);
	}
}

int tdm_test_national(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(published_examples),
	    cmocka_unit_test(the_page_has_the_table),
	    cmocka_unit_test(a_wrong_check_digit_is_a_number),
	    cmocka_unit_test(left_alone),
	    cmocka_unit_test(pages_have_no_users),
	    cmocka_unit_test(lists_are_left_alone),
	    cmocka_unit_test(dates_are_left_alone),
	    cmocka_unit_test(areas_and_days_that_do_not_exist_are_no_pass),
	    cmocka_unit_test(every_check_tells_numbers_apart),
	};
	return cmocka_run_group_tests_name("national", tests, NULL, NULL);
}
