// Plot: series over time as bars that stand on each other, or as lines; with axes, a readout for pointer and arrow keys,
// and the same numbers as a table.
import { h, svg, table } from '/web/dom.js';
import { clock } from '/web/units.js';

const HEIGHT = 176, LEFT = 56, RIGHT = 8, TOP = 8, BOTTOM = 22, TICKS = 4;
const known = (value) => typeof value === 'number' && Number.isFinite(value);

// The smallest of 1, 2, 2.5 and 5 times a power of ten that reaches the value in TICKS steps.
function niceStep(value) {
  if (!(value > 0)) return 1 / TICKS;
  const raw = value / TICKS, power = 10 ** Math.floor(Math.log10(raw));
  return power * [1, 2, 2.5, 5, 10].find((n) => n * power >= raw * 0.9999);
}

export class Plot {
  // series: {name, tone, value: (time) => number or null}; format: number to text; kind: bars, lines
  constructor(place, { title, unit, kind, series, format, whole = false }) {
    Object.assign(this, { kind, series, format, whole, title, unit, times: [], at: null, place });
    this.svg = svg('svg', { tabindex: '0', role: 'img', 'aria-label': `${title}. Arrow keys read single values.` });
    this.heading = h('h2');
    this.readout = h('p', { class: 'readout', 'aria-live': 'polite' });
    this.numbers = h('div');
    this.details = h('details', { ontoggle: () => this.fillTable() }, h('summary', null, 'As a table'), this.numbers);
    const legend = series.map((s) => h('span', { class: 'legend' }, this.sample(s), s.name));
    place.append(h('figure', { class: 'plot' }, h('figcaption', null, this.heading, series.length > 1 && h('div', { class: 'legends' }, legend)),
      this.svg, this.readout, this.details));
    this.svg.addEventListener('pointermove', (event) => this.point(event));
    this.svg.addEventListener('pointerleave', () => this.show(null));
    this.svg.addEventListener('blur', () => this.show(null));
    this.svg.addEventListener('keydown', (event) => this.key(event));
    new ResizeObserver(() => requestAnimationFrame(() => this.draw())).observe(place);
  }

  get named() {
    return this.unit ? `${this.title}, ${this.unit}` : this.title;
  }

  sample(s) {
    return svg('svg', { viewBox: '0 0 20 12', 'aria-hidden': 'true' }, this.kind === 'bars'
      ? svg('rect', { class: `bar tone-${s.tone}`, x: 3, y: 1, width: 14, height: 10, rx: 2 })
      : svg('path', { class: `line tone-${s.tone}`, d: 'M1 6H19' }));
  }

  update(times, unit = this.unit) {
    Object.assign(this, { times, unit });
    this.heading.textContent = this.named;
    this.draw();
    this.fillTable();
    if (this.at !== null) this.show(Math.min(this.at, times.length - 1));
  }

  // --- scales

  get width() {
    return Math.max(260, this.svg.clientWidth);
  }

  // Null at one end of a line is a gap.
  values(i) {
    return this.series.map((s) => s.value(this.times[i]));
  }

  limits() {
    const sums = this.times.map((_, i) => this.values(i).filter(known));
    const top = Math.max(0, ...sums.map((v) => (this.kind === 'bars' ? v.reduce((a, b) => a + b, 0) : Math.max(0, ...v))));
    const low = Math.min(0, ...sums.flat());
    let step = niceStep(Math.max(top, -low));
    if (this.whole) step = Math.max(1, Math.ceil(step));
    return { step, low: Math.floor(low / step + 1e-9) * step, high: Math.max(step, Math.ceil(top / step - 1e-9) * step) };
  }

  x(i) {
    return LEFT + ((i + 0.5) * (this.width - LEFT - RIGHT)) / this.times.length;
  }

  y(value) {
    const { low, high } = this.scale;
    return TOP + ((high - value) * (HEIGHT - TOP - BOTTOM)) / (high - low);
  }

  // --- drawing

  draw() {
    if (!this.times.length) return;
    this.scale = this.limits();
    const empty = !this.times.some((_, i) => this.values(i).some((v) => known(v) && v !== 0));
    this.svg.setAttribute('viewBox', `0 0 ${this.width} ${HEIGHT}`);
    this.cursor = svg('line', { class: 'cursor', y1: TOP, y2: HEIGHT - BOTTOM, visibility: 'hidden' });
    this.svg.replaceChildren(...this.yAxis(), ...this.xAxis(), ...(this.kind === 'bars' ? this.bars() : this.lines()), this.cursor,
      ...(empty ? [svg('text', { class: 'nothing', x: (LEFT + this.width) / 2, y: HEIGHT / 2 - 8, 'text-anchor': 'middle' }, 'nothing yet')] : []));
    this.placeCursor();
  }

  yAxis() {
    const { low, high, step } = this.scale, parts = [];
    for (let value = low; value <= high + step / 2; value += step) {
      const y = this.y(value);
      parts.push(svg('line', { class: Math.abs(value) < step / 2 ? 'axis' : 'grid', x1: LEFT, x2: this.width - RIGHT, y1: y, y2: y }),
        svg('text', { x: LEFT - 6, y: y + 4, 'text-anchor': 'end' }, this.format(Math.abs(value) < step / 2 ? 0 : value)));
    }
    return parts;
  }

  xAxis() {
    const every = Math.ceil(this.times.length / Math.max(2, Math.floor((this.width - LEFT) / 90)));
    return this.times.flatMap((time, i) => (i % every || this.x(i) > this.width - 20 ? []
      : [svg('text', { x: this.x(i), y: HEIGHT - 6, 'text-anchor': 'middle' }, clock(time.at))]));
  }

  bars() {
    const w = Math.max(1.5, ((this.width - LEFT - RIGHT) / this.times.length) * 0.72);
    return this.times.flatMap((_, i) => {
      let base = 0;
      return this.values(i).flatMap((value, k) => {
        if (!known(value) || value <= 0) return [];
        const top = this.y(base + value), height = this.y(base) - top;
        base += value;
        return [svg('rect', { class: `bar tone-${this.series[k].tone}`, x: this.x(i) - w / 2, y: top, width: w, height, rx: Math.min(2, w / 3) })];
      });
    });
  }

  lines() {
    return this.series.flatMap((s) => {
      let path = '', joined = false;
      const dots = [];
      this.times.forEach((time, i) => {
        const value = s.value(time);
        if (known(value)) {
          const alone = !joined && !known(this.times[i + 1] && s.value(this.times[i + 1]));
          path += `${joined ? 'L' : 'M'}${this.x(i).toFixed(1)} ${this.y(value).toFixed(1)}`;
          if (alone) dots.push(svg('circle', { class: `dot tone-${s.tone}`, cx: this.x(i), cy: this.y(value), r: 4 }));
        }
        joined = known(value);
      });
      return [svg('path', { class: `line tone-${s.tone}`, d: path || 'M0 0' }), ...dots];
    });
  }

  // --- reading

  point(event) {
    const box = this.svg.getBoundingClientRect();
    const x = ((event.clientX - box.left) * this.width) / box.width;
    const i = Math.floor(((x - LEFT) * this.times.length) / (this.width - LEFT - RIGHT));
    this.show(i >= 0 && i < this.times.length ? i : null);
  }

  key(event) {
    const last = this.times.length - 1, from = this.at ?? last + (event.key === 'ArrowLeft' ? 1 : 0);
    const to = { ArrowLeft: from - 1, ArrowRight: from + 1, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.show(Math.min(last, Math.max(0, to)));
  }

  words(i) {
    return this.series.map((s) => `${s.name} ${this.format(s.value(this.times[i]))}`).join(', ');
  }

  show(i) {
    this.at = i;
    this.readout.textContent = i === null ? '' : `${clock(this.times[i].at)}: ${this.words(i)}`;
    this.placeCursor();
  }

  placeCursor() {
    if (!this.cursor) return;
    this.cursor.setAttribute('visibility', this.at === null ? 'hidden' : 'visible');
    if (this.at === null) return;
    this.cursor.setAttribute('x1', this.x(this.at));
    this.cursor.setAttribute('x2', this.x(this.at));
  }

  fillTable() {
    if (!this.details.open) return;
    const rows = this.times.map((time, i) => [clock(time.at), ...this.values(i).map(this.format)]);
    this.numbers.replaceChildren(table(this.named, ['from', ...this.series.map((s) => `#${s.name}`)],
      rows.reverse(), { hideCaption: true }));
  }
}
