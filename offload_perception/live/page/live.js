// Draws the node's events. Texts reach the page through textContent alone: a label is never markup.
'use strict';

const STALE_MS = 2500, RETRY_MS = 5000, NO_FRAME_S = 3;
const STAGES = {  // name: [words, colour]; blue on the drone, orange the link, green the server
  queue: ['queue', '#8a9bb0'], preprocess: ['preprocess', '#6db6f2'], head: ['head', '#2166d1'],
  encode: ['encode', '#12b5c9'], link: ['link', '#e07b12'], server_wait: ['wait', '#b07ad0'],
  decode: ['decode', '#7fd49a'], tail: ['tail', '#1f8f49'], rest: ['other', '#777']};
const $ = id => document.getElementById(id);

// -- words ------------------------------------------------------------------------------------

const known = x => x !== null && x !== undefined;
const seconds = s => !known(s) ? '–' : s >= 1 ? `${s.toFixed(2)} s` : `${(s * 1e3).toFixed(1)} ms`;
const age = s => s < 90 ? `${Math.round(s)} s` : `${Math.round(s / 60)} min`;
const percent = x => `${Math.round(x * 100)} %`;

function bytes(n) {
  if (!known(n)) return '–';
  const [size, unit] = n < 1e3 ? [n, 'B'] : n < 1e6 ? [n / 1e3, 'kB'] : [n / 1e6, 'MB'];
  return `${unit === 'B' ? size.toFixed(0) : size.toFixed(size < 10 ? 2 : 1)} ${unit}`;
}

function make(tag, text = '', cls = '') {
  const e = document.createElement(tag);
  e.textContent = text;
  e.className = cls;
  return e;
}

// -- parts ------------------------------------------------------------------------------------

function drawLatency(l) {
  if (!l) return;
  const parts = Object.entries({...l.stages, rest: l.rest});
  const scale = 1.05 * Math.max(l.deadline ?? 0, l.p95, l.mean, 1e-6);
  $('mean').textContent = seconds(l.mean);
  $('spread').textContent = `mean · p95 ${seconds(l.p95)} · slowest ${seconds(l.slowest)}`;
  $('bar').replaceChildren(...parts.map(([name, s]) => {
    const i = make('i');
    i.style.width = `${100 * s / scale}%`;
    i.style.background = STAGES[name][1];
    return i;
  }));
  const mark = (s, words, cls) => {
    const m = make('span', words, s > scale / 2 ? `right ${cls}` : cls);
    if (s > scale / 2) m.style.right = `${100 * (1 - s / scale)}%`;
    else m.style.left = `${100 * s / scale}%`;
    return m;
  };
  $('marks').replaceChildren(...(l.deadline
    ? [mark(l.deadline, `deadline ${seconds(l.deadline)}`, l.mean > l.deadline ? 'over' : '')]
    : []));
  $('stages').replaceChildren(...parts.filter(([n, s]) => n !== 'rest' || s > l.mean / 100).map(
    ([name, s]) => {
      const li = make('li'), chip = make('span', '', 'chip');
      chip.style.background = STAGES[name][1];
      li.append(chip, make('span', STAGES[name][0]), make('b', s ? seconds(s) : '–'));
      return li;
    }));
  $('rate').textContent = `${l.per_second.toFixed(1)} results a second` + (l.dropped_per_second
    ? `, ${l.dropped_per_second.toFixed(1)} dropped a second` : '');
  $('deadline').textContent = l.with_deadline
    ? `Deadline met by ${l.met} of the last ${l.with_deadline} frames.` : '';
}

function drawNetwork(n) {
  if (!n) return;
  const cells = [];
  let block = '';
  n.layers.forEach((layer, k) => {
    const kind = layer.name.includes('pool') ? 'pool' : layer.name.includes('conv') ? 'conv' : 'fc';
    const group = (layer.name.match(/^block(\d+)/) ?? ['', kind === 'fc' ? 'fc' : ''])[1];
    const cell = make('div', '', kind), box = make('i', '', layer.on);
    box.title = `${layer.name}: ${layer.on}`;
    cell.append(box, make('small', group !== block ? group : ''));
    block = group;
    if (!n.local && k === n.split) cells.push(make('div', '', 'edge'));
    cells.push(cell);
  });
  $('strip').replaceChildren(...cells);
  $('on-drone').textContent = `drone: ${n.head || 'no layer'}`;
  $('on-server').textContent = n.local ? 'server: no layer' : `server: ${n.tail} at ${n.server}`;
  $('cut').textContent = n.local
    ? 'All on board' + (n.bytes ? ', after no reply came in time' : '')
    : `Cut behind ${n.split_name} (${n.split}), codec ${n.codec}, ${bytes(n.bytes)} a frame`;
  $('reason').textContent = n.reason;
}

function drawCounts(c, policy) {
  const parts = [['captured', c.captured], ['= remote', c.remote], ['+ local', c.local],
    ['+ dropped', c.dropped], ...(c.under_way ? [['+ under way', c.under_way]] : [])];
  $('counts').replaceChildren(...parts.map(([words, n]) => {
    const term = make('span', `${words} `);
    term.append(make('b', `${n}`));
    return term;
  }));
  $('policy').textContent = policy && `Mission policy ${policy}`;
  $('reasons').replaceChildren(...Object.entries(c.reasons).map(
    ([reason, n]) => make('li', `dropped, ${reason}: ${n}`)));
}

function drawPower(p) {
  if (!p) return;
  const told = p.emulated ? ' (emulated)' : '';
  $('watts').textContent = known(p.power) ? `${p.power.toFixed(2)} W` : '–';
  $('joules').textContent = known(p.per_result) ? `${p.per_result.toFixed(3)} J a frame` : '';
  $('energy').textContent = p.frame && known(p.frame.above_idle)
    ? `Last frame ${p.frame.above_idle.toFixed(3)} J above idle` + (known(p.frame.uncertainty)
      ? ` ± ${p.frame.uncertainty.toFixed(3)}` : '') : '';
  $('meter').textContent = `${p.source}${told}` + (p.age_s > 3 ? `, silent for ${age(p.age_s)}` : '');
}

function drawLink(l) {
  const rows = [['sent', `${bytes(l.sent_per_second)}/s`],
    ['a frame', bytes(l.bytes_per_frame)], ['time on the link', seconds(l.time)]];
  if (known(l.bandwidth)) rows.push(['bandwidth, estimated', `${bytes(l.bandwidth)}/s`]);
  if (known(l.round_trip)) rows.push(['round trip, estimated', seconds(l.round_trip)]);
  $('link').replaceChildren(...rows.flatMap(([k, v]) => [make('dt', k), make('dd', v)]));
}

function drawServers(servers) {
  $('servers').replaceChildren(...servers.map(s => {
    const box = make('div');
    if (!known(s.age_s)) {
      box.append(make('p', `${s.name}: not heard of`));
      return box;
    }
    const load = make('div', '', 'load'), i = make('i', '', s.utilisation > .9 ? 'high' : '');
    i.style.width = `${100 * Math.min(1, s.utilisation ?? 0)}%`;
    load.append(i);
    const silent = s.age_s > 5 ? `, silent for ${age(s.age_s)}` : '';
    box.append(make('p', `${s.name}: ${s.model}, ${s.runs_on}${silent}`), load,
      make('p', `busy ${percent(s.utilisation ?? 0)} · ${(s.arrival_rate ?? 0).toFixed(1)}/s · `
        + `queue ${s.queue} · wait ${seconds(s.expected_wait)} · done ${s.completed}`
        + (s.turned_away ? ` · turned away ${s.turned_away}` : '')));
    return box;
  }));
}

function drawHealth(nodes) {
  const item = h => {
    const li = make('li', '', h.level), words = h.level === 'silent'
      ? `silent for ${age(h.age_s)}; last: ${h.message}` : h.message;
    li.append(make('b', `${h.level} `), make('span', `${h.name}: ${words}`));
    return li;
  };
  const bad = nodes.filter(h => h.level !== 'ok'), well = nodes.filter(h => h.level === 'ok');
  const worse = bad.filter(h => h.level !== 'warning').length, words = [
    [worse, 'error'], [bad.length - worse, 'warning']].filter(([n]) => n).map(
    ([n, what]) => `${n} ${what}${n > 1 ? 's' : ''}`).join(', ');
  $('alarm').textContent = words;
  $('alarm').className = worse ? 'pill bad' : 'pill';
  $('alarm').hidden = !words;
  $('warnings').replaceChildren(...bad.length ? bad.map(item) : [make('li', 'none', 'ok')]);
  $('well').replaceChildren(...well.map(item));
  $('fine').textContent = `${well.length} nodes that are well`;
}

function drawCaveats(s) {
  const said = [];
  if (s.result && !s.result.trained) said.push('UNTRAINED network: its labels mean nothing.');
  if (s.power?.emulated) said.push('EMULATED meter: its power is modelled, not measured.');
  if (/emulat/i.test(s.network?.head ?? '')) said.push('EMULATED computer: layers are paced.');
  $('caveats').textContent = said.join(' ');
  $('caveats').hidden = !said.length;
}

function drawPicture(p) {
  $('picture').src = `data:image/jpeg;base64,${p.jpeg}`;
  $('picture').hidden = false;
  $('no-picture').hidden = true;
  if (!p.result) {
    $('label').textContent = 'no result for this image yet';
    $('others').textContent = '';
    return;
  }
  const words = l => `${l.label} ${percent(l.score)}`, [first, ...others] = p.result.labels;
  $('label').textContent = words(first) + (p.result.trained ? '' : ' (untrained)');
  $('others').textContent = others.map(words).join(' · ');
}

// -- the stream of events, and whether it lives -----------------------------------------------

let source = null, heard = null, state = null, tried = 0;
const opened = performance.now();

function draw(s) {
  state = s;
  $('drone').textContent = s.drone;
  document.title = `${s.drone} live`;
  drawLatency(s.latency);
  drawNetwork(s.network);
  drawCounts(s.counts, s.policy);
  drawPower(s.power);
  drawLink(s.link);
  drawServers(s.servers);
  drawHealth(s.health);
  drawCaveats(s);
  if (s.result?.judged) {
    $('camera').title = `${s.result.right} of ${s.result.judged} labels with a known truth right`;
  }
}

function look() {  // a page that looks alive and is not is worse than none
  const now = performance.now(), silent = now - (heard ?? opened);
  let kind = 'live', words = 'live', banner = '';
  if (silent > STALE_MS) {
    [kind, words] = ['lost', 'connection lost'];
    banner = `No word from the drone for ${age(silent / 1e3)}: everything below is old. `
      + 'Trying to connect again.';
    if (now - tried > RETRY_MS) connect();  // a browser may wait for minutes for a lost network
  } else if (heard === null) {
    [kind, words] = ['waiting', 'connecting'];
  } else if (state.frame_age_s === null) {
    [kind, words] = ['waiting', 'no frame yet'];
  } else if (state.frame_age_s > NO_FRAME_S) {
    [kind, words] = ['waiting', `no frame for ${age(state.frame_age_s)}`];
  }
  document.body.className = kind;
  $('state').textContent = words;
  $('banner').textContent = banner;
  $('banner').hidden = !banner;
}

function connect() {
  source?.close();
  source = null;
  tried = performance.now();
  if (document.hidden) return;  // who does not look costs the drone nothing
  source = new EventSource('events');
  source.addEventListener('state', e => { heard = performance.now(); draw(JSON.parse(e.data)); look(); });
  source.addEventListener('picture', e => drawPicture(JSON.parse(e.data)));
}

const theme = document.documentElement.dataset;
theme.theme = localStorage.getItem('theme')
  ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light');
$('theme').addEventListener('click', () => {
  theme.theme = theme.theme === 'dark' ? 'light' : 'dark';
  localStorage.setItem('theme', theme.theme);
});
document.addEventListener('visibilitychange', connect);
setInterval(look, 500);
connect();
