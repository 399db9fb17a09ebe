// Canaries: private values that were never anybody's, in the ways people and programs write them, and a search for them in
// bytes that shares nothing with the masker: another language, another reader of JSON, other tables.

export const letters = 'abcdefghijklmnopqrstuvwxyz';
const below = (r, n) => r(n);
const pick = (r, list) => list[r(list.length)];
const digits = (r, n) => Array.from({ length: n }, () => below(r, 10)).join('');
const word = (r, n, from = letters) => Array.from({ length: n }, () => from[below(r, from.length)]).join('');
const grouped = (s, n, by) => s.match(new RegExp(`.{1,${n}}`, 'g')).join(by);

function luhn(r, prefix, n) {
  const body = prefix + digits(r, n - prefix.length - 1);
  let sum = 0;
  [...body].reverse().forEach((c, i) => {
    const d = Number(c) * (i % 2 ? 1 : 2);
    sum += d > 9 ? d - 9 : d;
  });
  return body + ((10 - (sum % 10)) % 10);
}

function iban(r) {
  const [country, body] = pick(r, [['DE', digits(r, 18)], ['GB', `WEST${digits(r, 14)}`], ['FR', digits(r, 23)], ['NL', `BANK${digits(r, 10)}`]]);
  const rest = [...[...`${body}${country}00`].map((c) => parseInt(c, 36)).join('')].reduce((x, c) => (x * 10 + Number(c)) % 97, 0);
  return `${country}${String(98 - rest).padStart(2, '0')}${body}`;
}

// phrase: words around the value that a person would write.
const kinds = {
  email: (r) => ({ value: `${word(r, 4)}.${word(r, 5)}${digits(r, 4)}@${pick(r, ['example.org', 'mail.example.co.uk', 'sub.example.com'])}`, phrase: 'write to' }),
  card: (r) => ({ value: luhn(r, pick(r, ['4', '51', '2221']), 16), phrase: 'the card is', number: true }),
  iban: (r) => ({ value: iban(r), phrase: 'my IBAN is' }),
  ssn: (r) => ({ value: `${100 + below(r, 500)}-${10 + below(r, 89)}-${1000 + below(r, 8999)}`, phrase: 'my ssn is' }),
  phone: (r) => ({ value: `+1 ${pick(r, ['415', '212', '303'])}-${2 + below(r, 8)}${digits(r, 2)}-${digits(r, 4)}`, phrase: 'call me at' }),
  ip: (r) => ({ value: [203, 100 + below(r, 150), 100 + below(r, 150), 100 + below(r, 150)].join('.'), phrase: 'the ip address is' }),
  secret: (r) => ({ value: pick(r, [`ghp_${word(r, 36, `${letters}0123456789`)}`, `AKIA${word(r, 16, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567')}`,
    `sk-ant-${word(r, 40, `${letters}0123456789`)}`]), phrase: 'the key is', oneWay: true }),
  listed: () => ({ value: 'Projekt Nordlicht', phrase: 'we call it' }),
  own: (r) => ({ value: `KD-${digits(r, 8)}`, phrase: 'customer number' }),
};
export const DENY = ['Projekt Nordlicht'], PATTERNS = ['KD-\\d{8}'];

// --- other ways to write a value, none of which hides it

const fullWidth = (v) => v.replace(/[0-9]/g, (c) => String.fromCharCode(0xff10 + Number(c)));
const otherDigits = (zero) => (v) => v.replace(/[0-9]/g, (c) => String.fromCharCode(zero + Number(c)));
const invisible = (r, v) => {
  const at = 1 + below(r, v.length - 1);
  return v.slice(0, at) + pick(r, ['\u200b', '\u200d', '\u2060', '\ufeff', '\u00ad', String.fromCodePoint(0xe0041)]) + v.slice(at);
};
const spellings = {
  email: [(r, v) => v.toUpperCase(), (r, v) => v[0].toUpperCase() + v.slice(1), invisible],
  card: [(r, v) => grouped(v, 4, ' '), (r, v) => grouped(v, 4, '-'), (r, v) => grouped(v, 4, '.'), (r, v) => fullWidth(v), (r, v) => otherDigits(0x0660)(v),
    (r, v) => otherDigits(0x0966)(v), invisible],
  iban: [(r, v) => grouped(v, 4, ' '), (r, v) => v.toLowerCase(), invisible],
  ssn: [(r, v) => v.replaceAll('-', ' '), (r, v) => v.replaceAll('-', '\u2011'), (r, v) => fullWidth(v), invisible],
  phone: [(r, v) => v.replaceAll(/[ -]/g, ''), (r, v) => v.replaceAll('-', ' '), invisible],
  ip: [invisible],
  secret: [],
  listed: [(r, v) => v.toUpperCase(), (r, v) => v.toLowerCase(), invisible],
  own: [(r, v) => v.toLowerCase(), invisible],
};

// What the mask reads as what it says: the whole of it is hidden.
const all = (f) => (r, v) => [...Buffer.from(v)].map((c) => f(c.toString(16).padStart(2, '0'))).join('');
const encodings = [all((h) => `%${h}`), all((h) => `&#x${h};`), all((h) => `\\u00${h}`), all((h) => `\\x${h}`), (r, v) => encodeURIComponent(v),
  (r, v) => Buffer.from(`${v} ${'q'.repeat(24)}`).toString('base64').replace(/=+$/, ''), (r, v) => [...v].join(' ')];

export const core = (v) => plain(v).replace(/[^a-z0-9]/g, '');

// A canary: {kind, value, core, written, write()}: write gives one of its spellings, which are kept, with words around it.
export function canary(r, kind = pick(r, Object.keys(kinds))) {
  const made = kinds[kind](r);
  const c = { kind, ...made, core: core(made.value) };
  const ways = [(v) => v, (v) => v, ...(spellings[kind].length ? [(v) => pick(r, spellings[kind])(r, v)] : []), (v) => pick(r, encodings)(r, v)];
  c.written = new Set([c.value]);
  c.spell = () => {
    const text = pick(r, ways)(c.value);
    c.written.add(text);
    return text;
  };
  c.write = () => `${c.phrase} ${c.spell()}`;
  return c;
}

// --- the search

function digitOf(c) {
  const cp = c.codePointAt(0), low = cp & ~0xf;
  const zero = (cp & 0xf) <= 9 && /\p{Nd}/u.test(String.fromCodePoint(low)) ? low : low + 6;
  return String(cp - zero);
}

// Small letters and ASCII digits, whatever they were written as.
function plain(text) {
  let s = text;
  if (/[^\x00-\x7f]/.test(s)) s = s.normalize('NFKD').replace(/[\p{Cf}\p{Mn}\u{e0000}-\u{e007f}]/gu, '').replace(/\p{Nd}/gu, (c) => (c <= '9' ? c : digitOf(c)));
  return s.toLowerCase();
}

// What people said, with nothing between the pieces: a value may be cut in two.
function said(value) {
  if (typeof value === 'string') return value;
  if (!value || typeof value !== 'object') return '';
  return Object.entries(value).map(([k, v]) => (k === 'role' || k === 'type' ? '' : said(v))).join('');
}

function collect(value, out) {
  if (typeof value === 'string') {
    out.push(value);
    if (/^\s*[[{]/.test(value)) {
      try {
        collect(JSON.parse(value), out);
      } catch {}
    }
  } else if (Array.isArray(value)) {
    for (const v of value) collect(v, out);
  } else if (value && typeof value === 'object') {
    for (const [k, v] of Object.entries(value)) {
      out.push(k);
      collect(v, out);
    }
  } else {
    out.push(String(value));
  }
  return out;
}

const decodings = [
  (s) => (s.includes('%') ? s.replace(/(%[0-9a-f]{2})+/gi, (m) => Buffer.from(m.replaceAll('%', ''), 'hex').toString()) : ''),
  (s) => (s.includes('&') ? s.replace(/&#(x?)([0-9a-f]+);?/gi, (m, x, n) => String.fromCodePoint(Math.min(parseInt(n, x ? 16 : 10) || 0, 0x10ffff))) : ''),
  (s) => (s.includes('\\') ? s.replace(/\\+(?:u00|x)([0-9a-f]{2})/gi, (m, n) => String.fromCharCode(parseInt(n, 16))) : ''),
  (s) => (s.includes('\\u') ? s.replace(/\\+u([0-9a-f]{4})/gi, (m, n) => String.fromCharCode(parseInt(n, 16))) : ''),
  (s) => (s.match(/[A-Za-z0-9+/_-]{16,}/g) ?? []).map((m) => Buffer.from(m, 'base64').toString()).join('\n'),
  (s) => (s.match(/([0-9a-f]{2}){8,}/gi) ?? []).map((m) => Buffer.from(m, 'hex').toString()).join('\n'),
];

// The canary whose letters and digits are in what was received, in order, whatever stands between; else undefined.
export function leaked(canaries, head, body) {
  let texts = [head];
  try {
    const json = JSON.parse(body);
    texts = texts.concat(collect(json, []), said(json.messages ?? json.input ?? ''));
  } catch {
    texts.push(body);
  }
  const all = texts.join('\n');
  const views = [all, ...decodings.map((d) => d(all))].map((v) => core(v)).join('\n');
  return canaries.find((c) => views.includes(c.core));
}
