// Numbers of no country. Rows of tdm_entities; see entities.h for what the columns say.
// clang-format off
BARE(NULL, "IMEI", "IMEI", 1, HARD, .25f, "#*15", NULL, NULL, tdm_valid_luhn, "imei device")
ID(NULL, "IMEI", "IMEI", 1, CONTEXT, .25f, "#*14 #*16 #*17 ?14-18", NULL, NULL, NULL, "imei imeisv meid")
BARE(NULL, "ICCID", "ICCID", 1, HARD, .25f, "89#*17 89#*18", NULL, NULL, tdm_valid_luhn, "iccid sim")
ID(NULL, "IMSI", "IMSI", 1, CONTEXT, .25f, "#*14 #*15", NULL, NULL, NULL, "imsi subscriber")
ID(NULL, "VIN", "VIN", 1, HARD, .25f, "X*17", NULL, NULL, tdm_valid_vin, "vin chassis vehicle")
ID(NULL, "ISIN", "ISIN", 3, HARD, .25f, "A*2X*9#", NULL, NULL, tdm_valid_isin, "isin security fund")
ID(NULL, "LEI", "LEI", 3, HARD, .25f, "X*18##", NULL, NULL, tdm_valid_mod97, "lei")
ID(NULL, "BANK_ACCT", "ACCOUNT", 1, CONTEXT, .20f, "#*6 #*7 #*8 #*9 #*10 #*11 #*12 #*13 #*14 #*15 #*16 #*17", NULL, NULL, NULL, "account acct a/c konto compte cuenta rekening")
ID(NULL, "MRN", "MRN", 1, CONTEXT, .20f, "?5-12", NULL, NULL, NULL, "mrn patient|id medical|record chart record|number")
ID(NULL, "TAX_ID", "TAXID", 1, CONTEXT, .25f, "?4-20", NULL, NULL, NULL, "tin tax|id tax|number taxpayer fiscal|code cod|fiscal nipt nrt voen unp idno edb pib ninea nifp nuit peid matricule")
ID(NULL, "PLATE", "PLATE", 2, CONTEXT, .20f, "A*3#*3 A*3#*4 A*2##A*3 A#*3A*3 A*2#*3A*2 #A*3#*3 A*2#*4 A*2A#*4 A#*4", NULL, NULL, NULL, "plate registration kennzeichen immatriculation")
