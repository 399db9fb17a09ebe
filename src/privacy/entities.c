// Entities: see entities.h. The rule this table protects: what a row of the configured level describes is never sent in
// clear. Context words may be extended, never shortened.
#include "privacy/checks.h"
#include "privacy/national.h"

#define NUMBER (TDM_ENTITY_NUMBER | TDM_ENTITY_GROUPED)
#define GROUPED TDM_ENTITY_GROUPED
#define HARD TDM_ENTITY_HARD
#define CONTEXT TDM_ENTITY_CONTEXT
#define CASELESS TDM_ENTITY_CASELESS
#define KEEP TDM_ENTITY_KEEP
#define PASSPORT_WORDS "passport travel|document passeport reisepass pass pasaporte passaporto paspoort"
#define DRIVER_WORDS "driver driver's driving licence license dl dmv"
#define VAT_WORDS                                                                                                      \
	"vat vatin ust tva iva btw nif ust-id ustid uid mwst moms alv pvn pvm pvm|kodas dph ddv cui cif cf anum kmkr oss " \
	"afm dic dič vsk"
#define CARD_WORDS                                                                                         \
	"card credit debit visa mastercard amex maestro discover diners jcb cc pan payment karte kreditkarte " \
	"carte tarjeta carta"
#define SSN_WORDS "ssn social|security ss#"
#define PHONE_WORDS                                                                                              \
	"phone tel mobile cell call whatsapp fax handy telefon telephone téléphone móvil telefono teléfono sms " \
	"text|me reach|me ring dial"
#define IP_WORDS "ip address host"
// A group of two digits or more that ends here, at least seven digits with its neighbours. The byte after it is part of
// the anchor, so that a run of a million digits is one anchor.
#define NUMBER_END "[0-9](?:[ .()/-]{0,2}[0-9]){5}[0-9][^0-9]"

#define CHECKED_SECRET(name, form, bytes, fewest, more, how)                                            \
	{                                                                                                   \
		.id = name, .label = "SECRET", .level = 1, .flags = HARD | TDM_ENTITY_ONE_WAY, .base = .70f,    \
		.threshold = .35f, .pattern = form, .width = bytes, .least = fewest, .tail = more, .check = how \
	}
#define SECRET(name, form, bytes, fewest, more) CHECKED_SECRET(name, form, bytes, fewest, more, NULL)
#define ROW(name, tag, depth, marks, evidence, form, how, terms)                                       \
	{                                                                                                  \
		.id = name, .label = tag, .level = depth, .flags = marks, .base = evidence, .threshold = .35f, \
		.pattern = form, .check = how, .words = terms                                                  \
	}

// A number of letters and digits: rows of the packs.
#define NUMBER_OF(country, name, tag, depth, marks, evidence, forms, sums, day, how, terms, enough) \
	{.pack = country,                                                                               \
	 .id = name,                                                                                    \
	 .label = tag,                                                                                  \
	 .level = depth,                                                                                \
	 .flags = (marks) | GROUPED,                                                                    \
	 .base = evidence,                                                                              \
	 .threshold = .35f,                                                                             \
	 .pattern = "",                                                                                 \
	 .shape = forms,                                                                                \
	 .sum = sums,                                                                                   \
	 .date = day,                                                                                   \
	 .bare = enough,                                                                                \
	 .valid = how,                                                                                  \
	 .words = terms},
#define ID(...) NUMBER_OF(__VA_ARGS__, false)
#define BARE(...) NUMBER_OF(__VA_ARGS__, true)

const struct tdm_entity tdm_entities[] = {
    ROW("DENY", "PRIVATE", 0, 0, 1.f, "", NULL, NULL),
    ROW("LITERAL", "LITERAL", 0, TDM_ENTITY_STAY, 1.f, "", NULL, NULL),
    ROW("NUMERIC_ID", "NUMBER", 1, GROUPED, .20f, "", NULL, NULL),

    CHECKED_SECRET("private-key", "-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----", 0, 0, NULL,
                   tdm_check_private_key),
    CHECKED_SECRET("aws", "\\b(?:AKIA|ASIA|ABIA|ACCA|A3T[A-Z0-9])", 4, 16, "a", tdm_check_aws),
    CHECKED_SECRET("google", "\\bAIza", 4, 35, "a_-", tdm_check_google),
    CHECKED_SECRET("jwt", "\\beyJ", 3, 0, NULL, tdm_check_jwt),
    SECRET("github", "\\bgh[opsur]_", 4, 36, "a"),
    SECRET("github", "\\bgithub_pat_", 11, 36, "a_"),
    SECRET("gitlab", "\\bglpat-", 6, 20, "a_-"),
    SECRET("npm", "\\bnpm_", 4, 36, "a"),
    SECRET("pypi", "\\bpypi-AgEIcHlwaS5vcmc", 20, 20, "a_-"),
    SECRET("huggingface", "\\bhf_", 3, 34, "a"),
    SECRET("anthropic", "\\bsk-ant-", 7, 20, "a_-"),
    SECRET("openai", "\\bsk-(?:proj-|svcac|admin)", 8, 20, "a_-"),
    SECRET("openai", "\\bsk-", 3, 32, "a"),
    SECRET("slack", "\\bxox[abeprs]-", 5, 10, "a-"),
    SECRET("slack", "\\bxapp-", 5, 10, "a-"),
    SECRET("slack", "hooks\\.slack\\.com/services/", 25, 20, "a/"),
    SECRET("stripe", "\\b[rs]k_(?:live|test|prod)_", 8, 10, "a"),
    SECRET("stripe", "\\bwhsec_", 6, 24, "a"),
    SECRET("sendgrid", "\\bSG\\.", 3, 60, "a._-"),
    SECRET("databricks", "\\bdapi", 4, 32, "a"),
    SECRET("digitalocean", "\\bdo[opr]_v1_", 7, 64, "a"),
    SECRET("shopify", "\\bshp(?:at|ca|pa|ss)_", 6, 32, "a"),
    SECRET("grafana", "\\bglsa_", 5, 32, "a_"),
    SECRET("linear", "\\blin_api_", 8, 32, "a"),
    SECRET("vault", "\\bhvs\\.", 4, 24, "a_-"),
    {.id = "generic",
     .label = "SECRET",
     .level = 1,
     .flags = TDM_ENTITY_ONE_WAY | CASELESS,
     .base = .70f,
     .threshold = .35f,
     .pattern = "(?:api|auth|token|secret|passw|cred|key)",
     .check = tdm_check_assignment},

    ROW("CARD", "CARD", 1, NUMBER | HARD, .25f, NUMBER_END, tdm_check_card, CARD_WORDS),
    ROW("US_SSN", "SSN", 1, NUMBER | HARD, .50f, NULL, tdm_check_ssn, SSN_WORDS),
    ROW("PHONE", "PHONE", 2, NUMBER | HARD, .50f, NULL, tdm_check_phone, PHONE_WORDS),
    ROW("US_SSN", "SSN", 1, NUMBER | CONTEXT, .25f, NULL, tdm_check_bare_ssn, SSN_WORDS),
    ROW("PHONE", "PHONE", 2, NUMBER | CONTEXT, .25f, NULL, tdm_check_bare_phone, PHONE_WORDS),
    ROW("NUMERIC_ID", "NUMBER", 1, NUMBER | CONTEXT, .25f, NULL, tdm_check_long_number, CARD_WORDS),

    ROW("IBAN", "IBAN", 1, GROUPED | HARD | CASELESS, .50f, "(?:\\b|_)[a-z]{2}[0-9]{2}[ -]?[a-z0-9]{4}", tdm_check_iban,
        "iban account konto rekening compte cuenta conto"),
    ROW("URL_CRED", "URLCRED", 1, HARD, .70f, "://[^\\s/@]{1,200}@", tdm_check_password_in_url, NULL),

    ROW("EMAIL", "EMAIL", 2, HARD, .70f, "@[A-Za-z0-9\\x80-\\xff-]+\\.[A-Za-z0-9\\x80-\\xff]", tdm_check_email,
        "email mail e-mail contact"),
    ROW("EMAIL", "EMAIL", 2, HARD | CASELESS, .70f, "[\\[({] ?at ?[\\])}] ?[a-z0-9-]", tdm_check_email_words, NULL),
    ROW("IP4", "IP", 2, HARD, .70f, "[0-9]\\.[0-9]{1,3}\\.[0-9]{1,3}\\.*[^0-9.]", tdm_check_ip4, IP_WORDS),
    ROW("IP6", "IP", 2, HARD | CASELESS, .70f, ":[0-9a-f]{0,4}:[0-9a-f]{0,4}[^0-9a-f:]", tdm_check_ip6, IP_WORDS),

#include "privacy/pack_america.h"
#include "privacy/pack_europe.h"
#include "privacy/pack_asia.h"
    BARE(NULL, "IMEI", "IMEI", 1, HARD, .25f, "#*15", NULL, NULL, tdm_valid_luhn, "imei device")
        ID(NULL, "IMEI", "IMEI", 1, CONTEXT, .25f, "#*14 #*16 #*17 ?14-18", NULL, NULL, NULL, "imei imeisv meid")
            BARE(NULL, "ICCID", "ICCID", 1, HARD, .25f, "89#*17 89#*18", NULL, NULL, tdm_valid_luhn, "iccid sim")
                ID(NULL, "IMSI", "IMSI", 1, CONTEXT, .25f, "#*14 #*15", NULL, NULL, NULL, "imsi subscriber") ID(
                    NULL, "VIN", "VIN", 1, HARD, .25f, "X*17", NULL, NULL, tdm_valid_vin, "vin chassis vehicle")
                    ID(NULL, "ISIN", "ISIN", 3, HARD, .25f, "A*2X*9#", NULL, NULL, tdm_valid_isin, "isin security fund")
                        ID(NULL, "LEI", "LEI", 3, HARD, .25f, "X*18##", NULL, NULL, tdm_valid_mod97, "lei")
                            ID(NULL, "BANK_ACCT", "ACCOUNT", 1, CONTEXT, .20f,
                               "#*6 #*7 #*8 #*9 #*10 #*11 #*12 #*13 #*14 #*15 #*16 #*17", NULL, NULL, NULL,
                               "account acct a/c konto compte cuenta rekening")
                                ID(NULL, "MRN", "MRN", 1, CONTEXT, .20f, "?5-12", NULL, NULL, NULL,
                                   "mrn patient|id medical|record chart record|number")
                                    ID(NULL, "PLATE", "PLATE", 2, CONTEXT, .20f,
                                       "A*3#*3 A*3#*4 A*2##A*3 A#*3A*3 A*2#*3A*2 #A*3#*3 A*2#*4 A*2A#*4 A#*4", NULL,
                                       NULL, NULL, "plate registration kennzeichen immatriculation")};
const size_t tdm_n_entities = sizeof tdm_entities / sizeof *tdm_entities;
const struct tdm_entity *const tdm_entity_deny = &tdm_entities[0], *const tdm_entity_literal = &tdm_entities[1],
                               *const tdm_entity_number = &tdm_entities[2];
