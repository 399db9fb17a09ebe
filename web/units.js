// Units: numbers as people read them. A value that is not known is a dash.
const known = (value) => typeof value === 'number' && Number.isFinite(value);
const NONE = '–';

// Three significant digits without an exponent; small amounts of money keep what is not zero.
export function digits(value, n = 3) {
  if (!known(value)) return NONE;
  if (value === 0) return '0';
  const size = Math.floor(Math.log10(Math.abs(value)));
  const decimals = Math.min(12, Math.max(0, n - 1 - size));
  const text = value.toFixed(decimals);
  return decimals ? text.replace(/\.?0+$/, '') : Number(text).toLocaleString('en-US');
}

export const whole = (value) => (known(value) ? Math.round(value).toLocaleString('en-US') : NONE);
export const money = (value, currency) => (known(value) ? `${digits(value)} ${currency}` : NONE);
export const share = (part, all) => (all > 0 ? `${digits((100 * part) / all)} %` : NONE);

export function duration(ms) {
  if (!known(ms)) return NONE;
  return ms < 1000 ? `${digits(ms)} ms` : ms < 120000 ? `${digits(ms / 1000)} s` : `${digits(ms / 60000)} min`;
}

export function size(bytes) {
  if (!known(bytes)) return NONE;
  return bytes < 1024 ? `${bytes} B` : bytes < 1048576 ? `${digits(bytes / 1024)} KiB` : `${digits(bytes / 1048576)} MiB`;
}

export const plural = (n, one, many = `${one}s`) => `${whole(n)} ${n === 1 ? one : many}`;
export const clock = (seconds, withSeconds = false) => new Date(seconds * 1000).toLocaleTimeString('en-GB',
  { hour: '2-digit', minute: '2-digit', ...(withSeconds ? { second: '2-digit' } : {}) });
