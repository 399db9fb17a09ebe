// Entities: see entities.h. The rule this table protects: what a row of the configured level describes is never sent in
// clear. Context words may be extended, never shortened.
#include "privacy/detect/checks.h"
#include "privacy/detect/contact.h"
#include "privacy/detect/credentials.h"
#include "privacy/detect/date.h"
#include "privacy/detect/national.h"
#include "privacy/detect/payment.h"
#include "privacy/detect/wallet.h"

#define NUMBER (TDM_ENTITY_NUMBER | TDM_ENTITY_GROUPED)
#define GROUPED TDM_ENTITY_GROUPED
#define HARD TDM_ENTITY_HARD
#define CONTEXT TDM_ENTITY_CONTEXT
#define CASELESS TDM_ENTITY_CASELESS
#define KEEP TDM_ENTITY_KEEP
#define STAY TDM_ENTITY_STAY
#define WORD TDM_ENTITY_WORD
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
	"text|me reach|me ring dial cellphone landline hotline mob ph voicemail celular cellulare telefonnummer "    \
	"rufnummer handynummer telefoonnummer mobil gsm contact reach number|is numéro|de|téléphone"
#define IP_WORDS "ip address host"
// Words that name what a few digits are: the value stands beside them.
#define CVV_WORDS "cvv cvv2 cvc cvc2 cvn cid csc security|code card|verification prüfnummer prüfziffer"
#define CVV_PATTERN                                                                                         \
	"(?:\\b|_)(?:cv[vcn]2?|cid|csc|security[ _-]code|card[ _-]verification(?:[ _-](?:code|number|value))?|" \
	"prüfnummer|prüfziffer)(?:\\b|_)"
#define PIN_WORDS "pin pincode passcode pin|code geheimzahl geheimnummer"
#define PIN_PATTERN "(?:\\b|_)(?:pin(?:[ _-]?code|[ _-]number)?|passcode|geheimzahl|geheimnummer)(?:\\b|_)"
#define EXPIRY_WORDS                                                                                             \
	"exp expiry expires expiration expiring valid|thru valid|until good|thru gültig|bis ablaufdatum caducidad " \
	"vencimiento scadenza"
#define EXPIRY_PATTERN "#/- "
#define NUMBER_END "#" // digits end here, seven at least with the groups before them

// Keys of a query whose values open what the link points to.
#define QUERY_SECRET                                                                                      \
	"[?&](?:(?:access_|refresh_|id_|auth_)?token|(?:api_?)?key|sig|signature|password|passwd|pwd|secret|" \
	"client_secret|auth|code|sv|x-amz-signature|x-amz-security-token|x-amz-credential|x-goog-signature)="
#define BASE58_PATTERN "\\b[1-9A-HJ-NP-Za-km-z]{25}"
#define MAC_PATTERN                                                                                  \
	":[0-9a-f]{2}:[0-9a-f]{2}:[0-9a-f]{2}[^0-9a-f:]|-[0-9a-f]{2}-[0-9a-f]{2}-[0-9a-f]{2}[^0-9a-f-]|" \
	"\\.[0-9a-f]{4}\\.[0-9a-f]{4}[^0-9a-f.]"
#define USER_PATTERN                                                                                        \
	"\\b(?:user[ _-]?name|login(?:[ _-]name)?|handle|nick[ _-]?name|screen[ _-]?name|account[ _-]name)\\b|" \
	"\\buser(?:=|\"\\s?:)"
#define DATE_PATTERN "#2./-"
#define MONTH_PATTERN                                                                                                    \
	"\\b(?:jan(?:uar|uary|uari|vier|eiro)?|feb(?:ruar|ruary|ruari)?|f(?:é|e)vrier|febrero|fevereiro|febbraio|gennaio|"  \
	"enero|mar(?:ch|s|zo|ço)?|märz|maart|apr(?:il|ile)?|abril|avril|may|mai|mayo|maio|maggio|mei|jun[ei]?|juin|junio|" \
	"junho|giugno|jul[iy]?|juillet|julio|julho|luglio|aug(?:ust|ustus)?|août|agosto|sept?(?:ember|embre)?|"             \
	"septiembre|settembre|setembro|oct(?:ober|obre|ubre)?|okt(?:ober)?|ottobre|outubro|nov(?:ember|embre|embro|"         \
	"iembre)?|dec(?:ember)?|dez(?:ember|embro)?|d(?:é|e)cembre|diciembre|dicembre)\\b"
#define BIRTH_WORDS                                                                                                     \
	"born dob birth birthday birthdate date|of|birth date_of_birth birth_date geboren geb geburtsdatum geburtstag né " \
	"née nacido nacida nacimiento nato nata nascita nascido nascida nascimento geboortedatum naissance"
#define YEAR_PATTERN                                                                                                    \
	"\\b(?:in|since|until|till|during|year|before|after|circa|summer|winter|spring|autumn|fall|seit|depuis|desde|dal|"  \
	"en|nel|im|jahr|año|année|(?:act|law|treaty|class|war|crisis|census|revolution|constitution|election) of) (?:of " \
	")?"                                                                                                                \
	"(?:19|20)[0-9]{2}\\b|\\b(?:a|an|the|his|her|their|its) (?:19[0-9][1-9]|19[1-9]0|20[0-2][1-9]|20[12]0)\\b"
#define WEEKDAY_PATTERN                                                                                                  \
	"\\b(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day|montag|dienstag|mittwoch|donnerstag|freitag|samstag|sonntag|"      \
	"lundi|mardi|mercredi|jeudi|vendredi|samedi|dimanche|miércoles|jueves|viernes|sábado|lunedì|martedì|mercoledì|" \
	"giovedì|venerdì|maandag|dinsdag|woensdag|donderdag|vrijdag|zaterdag|zondag)\\b"
#define BARE_AGE_PATTERN                                                                                             \
	"\\b(?:i'm|i am|he is|he's|she is|she's|who is|turn(?:ed|s|ing)|(?:'ll|will|to|they|we|i|when) turn|"            \
	"(?:when|since|until) (?:he|she|i|they|we|you) (?:was|were|is|am|are|turned)|ich bin|j'ai|tengo) [0-9]{1,2}\\b|" \
	"[a-z], [0-9]{2},"
#define AGE_PATTERN                                                                                       \
	"(?:years?[ -]old|years of age|yrs?[ -]old|y/o|yo|jahre alt|años de edad|anni di età|jaar oud)\\b|" \
	"\\bage[ds]?[\"']?(?: of| is)?[:= ]{1,3}[0-9]{1,3}\\b|"                                               \
	"\\b(?:tengo|j'ai|ho|ich bin|i am|i'm) [0-9]{1,2} (?:años|ans|anni|jahre|years?)\\b"
#define HOST_PATTERN                                                                                               \
	"\\.(?:com|org|net|edu|gov|mil|int|info|biz|io|co|ai|dev|app|xyz|online|site|shop|store|tech|cloud|eu|"        \
	"uk|us|de|fr|it|es|nl|be|ch|at|se|no|dk|fi|pl|cz|pt|ie|ca|au|nz|jp|cn|in|br|mx|ar|cl|ru|ua|gr|hu|ro|bg|hr|si|" \
	"sk|lt|lv|ee|lu|is|il|za|kr|tw|hk|sg|th|tr|ph|vn|ae|sa|eg|ng|ke|tv|me|museum|mobi|travel|agency|blog|club|gl|" \
	"gq|cf|ga|tk|fm|ws|nu|li|local|lan|internal)\\b"

#define CHECKED_SECRET(name, form, bytes, fewest, more, how)                                            \
	{                                                                                                   \
		.id = name, .label = "SECRET", .level = 1, .flags = HARD | TDM_ENTITY_ONE_WAY, .base = .70f,    \
		.threshold = .35f, .pattern = form, .width = bytes, .least = fewest, .tail = more, .check = how \
	}
#define SECRET(name, form, bytes, fewest, more) CHECKED_SECRET(name, form, bytes, fewest, more, NULL)
// Told by what stands around it, not by itself: the egress monitor does not know it.
#define LOOSE_SECRET(name, marks, form, how)                                                            \
	{                                                                                                   \
		.id = name, .label = "SECRET", .level = 1, .flags = TDM_ENTITY_ONE_WAY | (marks), .base = .70f, \
		.threshold = .35f, .pattern = form, .check = how                                                \
	}
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
    ROW("CVV", "CVV", 1, CONTEXT | CASELESS | STAY, .50f, CVV_PATTERN, tdm_check_security_code, CVV_WORDS),
    ROW("CARD_EXP", "EXPIRY", 1, CONTEXT | STAY, .50f, EXPIRY_PATTERN, tdm_check_expiry, EXPIRY_WORDS),
    ROW("PIN", "PIN", 1, CONTEXT | CASELESS | STAY, .50f, PIN_PATTERN, tdm_check_pin, PIN_WORDS),

#include "privacy/detect/pack_secrets.h"
    ROW("CARD", "CARD", 1, NUMBER | HARD, .25f, NUMBER_END, tdm_check_card, CARD_WORDS),
    ROW("US_SSN", "SSN", 1, NUMBER | HARD, .50f, NULL, tdm_check_ssn, SSN_WORDS),
    ROW("PHONE", "PHONE", 2, NUMBER | HARD, .50f, NULL, tdm_check_phone, PHONE_WORDS),
    ROW("US_SSN", "SSN", 1, NUMBER | CONTEXT, .25f, NULL, tdm_check_bare_ssn, SSN_WORDS),
    ROW("PHONE", "PHONE", 2, NUMBER | CONTEXT, .25f, NULL, tdm_check_bare_phone, PHONE_WORDS),
    ROW("NUMERIC_ID", "NUMBER", 1, NUMBER | CONTEXT, .25f, NULL, tdm_check_long_number, CARD_WORDS),

    ROW("IBAN", "IBAN", 1, GROUPED | HARD | CASELESS, .50f, "(?:\\b|_)[a-z]{2}[0-9]{2}[ -]?[a-z0-9]{4}", tdm_check_iban,
        "iban account konto rekening compte cuenta conto"),
    ROW("URL_CRED", "URLCRED", 1, HARD, .70f, "://[^\\s/@]{1,200}@", tdm_check_password_in_url, NULL),

    ROW("URL_CRED", "URLCRED", 1, CASELESS, .70f, QUERY_SECRET, tdm_check_query_secret, NULL),
    ROW("CRYPTO_BTC", "WALLET", 1, HARD, .50f, BASE58_PATTERN, tdm_check_bitcoin, "btc bitcoin wallet"),
    ROW("CRYPTO_LTC", "WALLET", 1, HARD, .50f, NULL, tdm_check_litecoin, "litecoin ltc wallet"),
    ROW("CRYPTO_TRX", "WALLET", 1, HARD, .50f, NULL, tdm_check_tron, "tron trx usdt wallet"),
    ROW("CRYPTO_XMR", "WALLET", 1, HARD, .50f, NULL, tdm_check_monero, "monero xmr wallet"),
    ROW("CRYPTO_SOL", "WALLET", 1, CONTEXT, .25f, NULL, tdm_check_solana, "solana sol wallet"),
    ROW("CRYPTO_BTC", "WALLET", 1, HARD | CASELESS, .50f, "\\b(?:bc|tb|bcrt)1[02-9ac-hj-np-z]{6}", tdm_check_bech32,
        "btc bitcoin wallet"),
    ROW("CRYPTO_LTC", "WALLET", 1, HARD | CASELESS, .50f, "\\bltc1[02-9ac-hj-np-z]{6}", tdm_check_bech32,
        "litecoin ltc wallet"),
    ROW("CRYPTO_ETH", "WALLET", 1, HARD | CASELESS, .70f, "\\b0x[0-9a-f]{40}[^0-9a-z]", tdm_check_ethereum,
        "eth ethereum wallet"),
    ROW("BIC", "BIC", 1, CONTEXT, .25f, "[A-Z]{6}[A-Z0-9]{2}(?:[A-Z0-9]{3})?[^A-Za-z0-9_]", tdm_check_bic,
        "bic swift bank"),

    ROW("EMAIL", "EMAIL", 2, HARD, .70f, "@[A-Za-z0-9\\x80-\\xff-]+\\.[A-Za-z0-9\\x80-\\xff]", tdm_check_email,
        "email mail e-mail contact"),
    ROW("EMAIL", "EMAIL", 2, HARD | CASELESS, .70f, "[\\[({] ?at ?[\\])}] ?[a-z0-9-]", tdm_check_email_words, NULL),
    ROW("IP4", "IP", 2, HARD, .70f, "#2.", tdm_check_ip4, IP_WORDS),
    ROW("IP6", "IP", 2, HARD | CASELESS, .70f, ":[0-9a-f]{0,4}:[0-9a-f]{0,4}[^0-9a-f:]", tdm_check_ip6, IP_WORDS),

    ROW("MAC", "MAC", 2, CASELESS, .50f, MAC_PATTERN, tdm_check_mac, "mac ethernet"),
    ROW("POSITION", "POSITION", 2, CASELESS, .50f, "#.", tdm_check_position,
        "gps location coordinates latitude longitude"),
    ROW("USERNAME", "USERNAME", 2, CASELESS | WORD, .50f, "@[a-z0-9_]{2}", tdm_check_handle,
        "username user login handle account"),
    ROW("USERNAME", "USERNAME", 2, CASELESS | WORD, .50f, USER_PATTERN, tdm_check_user_name,
        "username user login handle account"),
    ROW("FILE_PATH", "USERNAME", 2, WORD, .50f, "(?:/home/|[/\\\\]Users[/\\\\]{1,2})[A-Za-z0-9_]", tdm_check_path,
        NULL),
    ROW("DOB", "DOB", 2, CONTEXT, .50f, DATE_PATTERN, tdm_check_numeric_date, BIRTH_WORDS),
    ROW("DATE", "DATE", 3, STAY, .50f, NULL, tdm_check_numeric_date, NULL),
    ROW("DOB", "DOB", 2, CONTEXT | CASELESS, .50f, MONTH_PATTERN, tdm_check_named_date, BIRTH_WORDS),
    ROW("DATE", "DATE", 3, STAY, .50f, NULL, tdm_check_named_date, NULL),
    ROW("DATE", "DATE", 3, CASELESS | STAY, .50f, YEAR_PATTERN, tdm_check_year, NULL),
    ROW("DATE", "DATE", 3, CASELESS | STAY, .50f, WEEKDAY_PATTERN, tdm_check_weekday, NULL),
    ROW("AGE", "AGE", 3, CASELESS | STAY, .50f, AGE_PATTERN, tdm_check_age, "age aged old"),
    ROW("AGE", "AGE", 3, CASELESS | STAY, .50f, BARE_AGE_PATTERN, tdm_check_bare_age, "age aged old"),
    ROW("URL", "URL", 3, CASELESS, .50f, "://[a-z0-9\\[\\x80-\\xff]|\\bwww\\.[a-z0-9]", tdm_check_url, NULL),
    ROW("DOMAIN", "DOMAIN", 3, CASELESS, .50f, HOST_PATTERN, tdm_check_domain, "website site"),

#include "privacy/detect/pack_america.h"
#include "privacy/detect/pack_europe.h"
#include "privacy/detect/pack_asia.h"
#include "privacy/detect/pack_world.h"
    ROW("PERSON", "PERSON", 2, 0, .60f, "", NULL, NULL),
    ROW("ADDRESS", "ADDRESS", 2, 0, .70f, "", NULL, NULL),
    ROW("ORG", "ORG", 3, 0, .60f, "", NULL, NULL),
    ROW("PLACE", "PLACE", 3, 0, .60f, "", NULL, NULL),
    ROW("GROUP", "GROUP", 3, 0, .60f, "", NULL, NULL),
};
const size_t tdm_n_entities = sizeof tdm_entities / sizeof *tdm_entities;
const struct tdm_entity *const tdm_entity_deny = &tdm_entities[0], *const tdm_entity_literal = &tdm_entities[1],
                               *const tdm_entity_number = &tdm_entities[2], *const tdm_entity_beside = &tdm_entities[3];
