// Identifiers: how many published test numbers are found beside a word of context, how many wrong ones are called
// right, and what a text costs. For bench/identifiers and bench-mask; no number of the files is shown.
//   identifiers table          the table of docs/masking.md
//   identifiers numbers        lines "module TAB number TAB valid|invalid" on standard input
//   identifiers phones         lines "region TAB code TAB type TAB national TAB +number"
//   identifiers time [name]    microseconds for 1 KiB of several texts (or one), and for 10 MB
#include "base/view.h"
#include "privacy/detect/evidence.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const rows_of[][2] = {
    // module of the test numbers, row of the table
    {"us.ssn", "US_SSN"},
    {"us.itin", "US_ITIN"},
    {"us.ein", "US_EIN"},
    {"us.rtn", "US_ABA"},
    {"us.ptin", "US_PTIN"},
    {"ca.sin", "CA_SIN"},
    {"ca.bc_phn", "CA_HEALTH"},
    {"ca.bn", "CA_BN"},
    {"mx.curp", "MX_CURP"},
    {"mx.rfc", "MX_RFC"},
    {"br.cpf", "BR_CPF"},
    {"br.cnpj", "BR_CNPJ"},
    {"cl.rut", "CL_RUT"},
    {"ar.cuit", "AR_CUIT"},
    {"ar.dni", "AR_DNI"},
    {"ar.cbu", "AR_CBU"},
    {"co.nit", "CO_NIT"},
    {"pe.ruc", "PE_RUC"},
    {"pe.cui", "PE_CUI"},
    {"ec.ci", "EC_CI"},
    {"ec.ruc", "EC_CI"},
    {"uy.rut", "UY_RUT"},
    {"ve.rif", "VE_RIF"},
    {"cr.cpf", "CR_CPF"},
    {"do.cedula", "DO_CEDULA"},
    {"do.rnc", "DO_CEDULA"},
    {"gt.nit", "GT_NIT"},
    {"sv.nit", "SV_NIT"},
    {"py.ruc", "PY_RUC"},
    {"gb.nhs", "UK_NHS"},
    {"gb.utr", "UK_UTR"},
    {"gb.upn", "UK_UPN"},
    {"gb.vat", "EU_VAT"},
    {"de.idnr", "DE_STEUER_ID"},
    {"de.stnr", "DE_STNR"},
    {"fr.nir", "FR_NIR"},
    {"fr.siren", "FR_SIREN"},
    {"fr.siret", "FR_SIREN"},
    {"fr.nif", "FR_NIF"},
    {"fr.tva", "EU_VAT"},
    {"es.dni", "ES_DNI"},
    {"es.nie", "ES_NIE"},
    {"es.cif", "ES_CIF"},
    {"es.nif", "ES_DNI"},
    {"es.ccc", "ES_CCC"},
    {"it.codicefiscale", "IT_CF"},
    {"it.iva", "IT_PIVA"},
    {"nl.bsn", "NL_BSN"},
    {"nl.btw", "EU_VAT"},
    {"be.nn", "BE_NRN"},
    {"be.bis", "BE_NRN"},
    {"be.ssn", "BE_NRN"},
    {"be.eid", "BE_EID"},
    {"be.vat", "EU_VAT"},
    {"ch.ssn", "CH_AHV"},
    {"ch.uid", "CH_UID"},
    {"ch.vat", "CH_UID"},
    {"pl.pesel", "PL_PESEL"},
    {"pl.nip", "PL_NIP"},
    {"pl.regon", "PL_REGON"},
    {"fi.hetu", "FI_HETU"},
    {"se.personnummer", "SE_PNR"},
    {"se.orgnr", "SE_ORGNR"},
    {"no.fodselsnummer", "NO_FNR"},
    {"no.orgnr", "NO_ORGNR"},
    {"no.mva", "NO_ORGNR"},
    {"dk.cpr", "DK_CPR"},
    {"ie.pps", "IE_PPS"},
    {"pt.nif", "PT_NIF"},
    {"pt.cc", "PT_CC"},
    {"gr.amka", "GR_AMKA"},
    {"at.vnr", "AT_VNR"},
    {"at.tin", "AT_TIN"},
    {"cz.rc", "CZ_RC"},
    {"cz.ico", "CZ_ICO"},
    {"sk.rc", "CZ_RC"},
    {"sk.ico", "CZ_ICO"},
    {"hr.oib", "HR_OIB"},
    {"ro.cnp", "RO_CNP"},
    {"bg.egn", "BG_EGN"},
    {"bg.pnf", "BG_PNF"},
    {"bg.vat", "EU_VAT"},
    {"ee.ik", "EE_IK"},
    {"lt.asmens", "EE_IK"},
    {"si.emso", "SI_EMSO"},
    {"ua.rntrc", "UA_RNTRC"},
    {"ua.edrpou", "UA_EDRPOU"},
    {"ru.inn", "RU_INN"},
    {"ru.ogrn", "RU_OGRN"},
    {"eu.vat", "EU_VAT"},
    {"in.aadhaar", "IN_AADHAAR"},
    {"in.vid", "IN_VID"},
    {"in.pan", "IN_PAN"},
    {"in.gstin", "IN_GSTIN"},
    {"in.epic", "IN_VOTER"},
    {"cn.ric", "CN_RIC"},
    {"cn.uscc", "CN_USCC"},
    {"kr.rrn", "KR_RRN"},
    {"kr.brn", "KR_BRN"},
    {"jp.in", "JP_MYNUMBER"},
    {"jp.cn", "JP_CN"},
    {"th.pin", "TH_TNIN"},
    {"th.tin", "TH_TNIN"},
    {"tr.tckimlik", "TR_TCKN"},
    {"tr.vkn", "TR_VKN"},
    {"sg.uen", "SG_UEN"},
    {"my.nric", "MY_NRIC"},
    {"id.nik", "ID_NIK"},
    {"id.npwp", "ID_NPWP"},
    {"pk.cnic", "PK_CNIC"},
    {"vn.mst", "VN_MST"},
    {"tw.ubn", "TW_UBN"},
    {"il.idnr", "IL_ID"},
    {"za.idnr", "ZA_ID"},
    {"ke.pin", "KE_PIN"},
    {"gh.tin", "GH_TIN"},
    {"mu.nid", "MU_NID"},
    {"eg.tn", "EG_TN"},
    {"au.tfn", "AU_TFN"},
    {"au.abn", "AU_ABN"},
    {"au.acn", "AU_ACN"},
    {"nz.ird", "NZ_IRD"},
    {"nz.bankaccount", "NZ_BANK"},
    {"imei", "IMEI"},
    {"meid", "IMEI"},
    {"imsi", "IMSI"},
    {"isin", "ISIN"},
    {"lei", "LEI"},
    {"iban", "IBAN"},
    {"ad.nrt", "TAX_ID"},
    {"al.nipt", "TAX_ID"},
    {"az.voen", "TAX_ID"},
    {"by.unp", "TAX_ID"},
    {"dz.nif", "TAX_ID"},
    {"fo.vn", "TAX_ID"},
    {"gn.nifp", "TAX_ID"},
    {"is.kennitala", "IS_KENNITALA"},
    {"li.peid", "TAX_ID"},
    {"md.idno", "TAX_ID"},
    {"me.pib", "TAX_ID"},
    {"mk.edb", "TAX_ID"},
    {"mz.nuit", "TAX_ID"},
    {"rs.pib", "TAX_ID"},
    {"sn.ninea", "TAX_ID"},
    {"tn.mf", "TAX_ID"},
    {"us.tin", "TAX_ID"},
    {"za.tin", "TAX_ID"},
};

struct best {
	const char *id;
	size_t from, to;
	bool covered, valid;
};

static int on_find(void *arg, const struct tdm_candidate *c, float score) {
	struct best *b = arg;
	b->covered = b->covered || (c->start <= b->from && c->end >= b->to);
	b->valid = b->valid || (score > .95f && strcmp(c->entity->id, b->id) == 0);
	return TDM_OK;
}

static const struct tdm_entity *row_of(const char *id) {
	for (size_t i = 0; i < tdm_n_entities; i++)
		if (strcmp(tdm_entities[i].id, id) == 0)
			return &tdm_entities[i];
	return NULL;
}

// Behind the first context word of its row, through the view; found when one span holds all its digits.
static struct best look(struct tdm_scanner *scanner, const struct tdm_entity *row, const char *number) {
	char text[512];
	struct tdm_scan scan;
	struct tdm_arena arena;
	struct tdm_view view;
	int words = (int)strcspn(row->words, " ");
	struct best best = {.id = row->id, .from = (size_t)words + 2};
	int n = snprintf(text, sizeof text, "%.*s: %s.", words, row->words, number);
	for (int i = 0; i < words; i++)
		text[i] = text[i] == '|' ? ' ' : text[i];
	tdm_arena_init(&arena, 1 << 20);
	if (tdm_view_make(&arena, text, (size_t)n, false, &view, NULL) == TDM_OK &&
	    tdm_scanner_scan(scanner, view.text, view.n, &scan, NULL) == TDM_OK) {
		best.from += strcspn(view.text + best.from, "0123456789");
		for (best.to = view.n; best.to > best.from && !strchr("0123456789", view.text[best.to - 1]);)
			best.to--;
		tdm_evidence(&scan, view.text, view.n, 3, false, on_find, &best);
		tdm_scan_release(&scan);
	}
	tdm_arena_release(&arena);
	return best;
}

static int numbers(struct tdm_scanner *scanner) {
	char line[1024];
	size_t n_rows = sizeof rows_of / sizeof *rows_of, found[256] = {0}, valid[256] = {0}, wrong[256] = {0},
	       bad[256] = {0};
	size_t sum[4] = {0}, others = 0;
	while (fgets(line, sizeof line, stdin)) {
		char *module = line, *number = strchr(line, '\t'), *verdict = number ? strchr(number + 1, '\t') : NULL;
		size_t i = 0;
		if (!verdict)
			continue;
		*number++ = *verdict++ = 0;
		module += strncmp(module, "tests.", 6) == 0 ? 6 : 0;
		char *underline = strstr(module, "_.");
		if (underline)
			memmove(underline, underline + 1, strlen(underline));
		while (i < n_rows && strcmp(rows_of[i][0], module) != 0)
			i++;
		others += i == n_rows;
		if (i == n_rows)
			continue;
		struct best best = look(scanner, row_of(rows_of[i][1]), number);
		bool right = strncmp(verdict, "valid", 5) == 0;
		valid[i] += right;
		found[i] += right && best.covered;
		wrong[i] += !right;
		bad[i] += !right && best.valid;
	}
	for (size_t i = 0; i < n_rows; i++) {
		if (found[i] < valid[i] || bad[i])
			printf("%-18s %-14s found %zu of %zu; %zu of %zu wrong ones called right\n", rows_of[i][0], rows_of[i][1],
			       found[i], valid[i], bad[i], wrong[i]);
		sum[0] += found[i], sum[1] += valid[i], sum[2] += bad[i], sum[3] += wrong[i];
	}
	printf(
	    "numbers: found %zu of %zu (%.2f %%); %zu of %zu wrong ones called right; %zu of kinds that no row describes\n",
	    sum[0], sum[1], 100. * (double)sum[0] / (double)(sum[1] ? sum[1] : 1), sum[2], sum[3], others);
	return sum[1] == 0;
}

static int phones(struct tdm_scanner *scanner) {
	char line[256];
	size_t n = 0, found = 0;
	while (fgets(line, sizeof line, stdin)) {
		char *number = strchr(line, '+');
		if (!number)
			continue;
		number[strcspn(number, "\r\n")] = 0;
		found += look(scanner, row_of("PHONE"), number).covered;
		n++;
	}
	printf("phones: found %zu of %zu (%.2f %%)\n", found, n, 100. * (double)found / (double)(n ? n : 1));
	return n == 0;
}

static double once(struct tdm_scanner *scanner, const char *text, size_t n) {
	struct timespec a, b;
	struct tdm_scan scan;
	struct best none = {.id = ""};
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
	if (tdm_scanner_scan(scanner, text, n, &scan, NULL) == TDM_OK) {
		tdm_evidence(&scan, text, n, 3, false, on_find, &none);
		tdm_scan_release(&scan);
	}
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
	return (double)(b.tv_sec - a.tv_sec) * 1e6 + (double)(b.tv_nsec - a.tv_nsec) / 1e3;
}

struct timing { // of one scan, microseconds
	double median, least;
};

static int by_time(const void *a, const void *b) {
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

// n bytes of the unit repeated, a text that is new every time.
static struct timing time_of(struct tdm_scanner *scanner, const char *unit, size_t n) {
	enum { ROUNDS = 3001 };
	static double took[ROUNDS];
	int rounds = n > 100000 ? 3 : ROUNDS;
	size_t m = strlen(unit);
	char *text = malloc(n + 1);
	for (size_t at = 0; text && at < n; at++)
		text[at] = unit[at % m];
	for (int r = 0; text && r < rounds; r++) {
		text[n] = 0;
		text[n - 1] = (char)('a' + r % 26);
		text[n - 2] = (char)('a' + r / 26 % 26);
		text[n - 3] = (char)('a' + r / 676);
		took[r] = once(scanner, text, n);
	}
	free(text);
	qsort(took, (size_t)rounds, sizeof *took, by_time);
	return (struct timing){took[rounds / 2], took[0]};
}

static int times(struct tdm_scanner *scanner, const char *only) {
	static const char *const units[][2] = {
	    {"plain",
	     "The quick brown fox did consider the idea of a meeting with 14 people who said that 3 more are nice. "},
	    {"with values",
	     "Call me at 415-555-2671 or mail bob@example.org; my card is 4111 1111 1111 1111, ssn 536-90-4399. "},
	    {"groups", "4444 4444 "},
	    {"short codes", "a1 "},
	    {"words", "card 4111 "},
	    {"codes", "ab12cd34 "},
	    {"dotted", "12.34.56-7 "},
	    {"digits", "1"},
	    {"at", "a@"}};
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		struct timing small, large;
		if (*only && strcmp(only, units[i][0]) != 0)
			continue;
		small = time_of(scanner, units[i][1], 1024);
		large = time_of(scanner, units[i][1], 10000000);
		printf("%-12s 1 KiB %7.2f us (least %5.2f), 10 MB %7.1f ms (%.2f times the rate)\n", units[i][0], small.median,
		       small.least, large.median / 1e3, large.median / 10000000 / (small.median / 1024));
	}
	return 0;
}

static int table(void) {
	for (size_t i = 0; i < tdm_n_entities; i++) {
		const struct tdm_entity *row = &tdm_entities[i];
		const char *check = row->flags & TDM_ENTITY_ONE_WAY        ? "form"
		                    : row->check || row->valid || row->sum ? "yes"
		                                                           : "-";
		printf("| `%s` | `%s` | %d | %s | %s | %s |\n", row->id, row->label, row->level, row->pack ? row->pack : "",
		       check, row->flags & TDM_ENTITY_CONTEXT ? "yes" : "");
	}
	return 0;
}

int main(int argc, char **argv) {
	struct tdm_scanner *scanner;
	struct tdm_error error = {0};
	const char *what = argc > 1 ? argv[1] : "";
	if (strcmp(what, "table") == 0)
		return table();
	if (tdm_scanner_new(NULL, 0, &scanner, &error) != TDM_OK) {
		fprintf(stderr, "%s\n", error.text);
		return 1;
	}
	int status = !strcmp(what, "numbers")  ? numbers(scanner)
	             : !strcmp(what, "phones") ? phones(scanner)
	             : !strcmp(what, "time")   ? times(scanner, argc > 2 ? argv[2] : "")
	                                       : 2;
	tdm_scanner_free(scanner);
	return status;
}
