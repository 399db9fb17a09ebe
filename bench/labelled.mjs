// Readers of labelled texts that are no part of the project: rows of PUPA, spans of presidio-research and WNUT-17.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

const textOf = (file) => file.endsWith('.zst')
  ? execFileSync('zstd', ['-dcq', '--long=27', file], { maxBuffer: 1 << 28 }).toString() : readFileSync(file, 'utf8');

function csvRows(text) {
  const rows = [];
  let row = [], field = '', quoted = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (quoted && c === '"' && text[i + 1] === '"') field += text[++i];
    else if (c === '"') quoted = !quoted;
    else if (!quoted && (c === ',' || c === '\n')) {
      row.push(field);
      field = '';
      if (c === '\n') rows.push(row), row = [];
    } else if (c !== '\r' || quoted) field += c;
  }
  if (field || row.length) rows.push([...row, field]);
  const names = rows.shift();
  return rows.map((r) => Object.fromEntries(r.map((v, i) => [names[i], v])));
}

// The query, the same in small letters, and its units: the distinct private strings that stand in it.
export function pupaRows(file) {
  return csvRows(textOf(file)).map(({ user_query: query, pii_units: units }) => ({ query, low: query.toLowerCase(),
    units: [...new Set((units ?? '').toLowerCase().split('||').map((u) => u.trim()))].filter((u) => u && query.toLowerCase().includes(u)) }));
}

const charactersTo = (text, end) => [...text.slice(0, end)].length;

// {text, spans}: every place of a unit.
export function pupaSpans(file) {
  return pupaRows(file).filter((r) => r.units.length && r.low.length === r.query.length).map(({ query, low, units }) => {
    const spans = [];
    for (const unit of units)
      for (let at = low.indexOf(unit); at >= 0; at = low.indexOf(unit, at + 1))
        spans.push({ start: charactersTo(query, at), end: charactersTo(query, at + unit.length), type: 'UNIT' });
    return { text: query, spans };
  });
}

// `tandem certify leak` reads these as they are.
export const presidioSpans = (file) => JSON.parse(textOf(file));

// Sentences of CoNLL lines "word<TAB>tag"; the words joined by spaces.
export function wnutSpans(file) {
  return textOf(file).split(/\n\s*\n/).filter((s) => s.trim()).map((sentence) => {
    let at = 0;
    const spans = [], words = sentence.split('\n').filter(Boolean).map((line) => line.split('\t'));
    for (const [word, tag] of words) {
      const start = at, end = at + [...word].length;
      if (tag.startsWith('B-')) spans.push({ start, end, type: tag.slice(2) });
      else if (tag.startsWith('I-') && spans.length) spans.at(-1).end = end;
      at = end + 1;
    }
    return { text: words.map(([word]) => word).join(' '), spans };
  });
}
