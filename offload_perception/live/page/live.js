// Draws the node's events. Texts reach the page through textContent alone: a label is never markup.
'use strict';

const STALE_MS = 2500, RETRY_MS = 5000, OLD_S = 3, SHOWN = 8, NAMED = 20;
const STAGES = {  // name: [words, colour]; blue on the drone, orange the link, green the server
  queue: ['queue', '#8a9bb0'], preprocess: ['preprocess', '#6db6f2'], head: ['head', '#2166d1'],
  encode: ['encode', '#12b5c9'], link: ['link', '#e07b12'], server_wait: ['wait', '#b07ad0'],
  decode: ['decode', '#7fd49a'], tail: ['tail', '#1f8f49'], rest: ['other', '#777']};
// How a class map lies over the picture that was cropped, letterboxed or stretched for it.
const FITS = {crop: 'contain', letterbox: 'cover', stretch: 'fill'};
const $ = id => document.getElementById(id);

// -- words ------------------------------------------------------------------------------------

const known = x => x !== null && x !== undefined;
const seconds = s => !known(s) ? '–' : s >= 1 ? `${s.toFixed(2)} s` : `${(s * 1e3).toFixed(1)} ms`;
const age = s => s < 90 ? `${Math.round(s)} s` : `${Math.round(s / 60)} min`;
const clock = s => [Math.floor(s / 3600), Math.floor(s / 60) % 60, Math.floor(s) % 60].map(
  (n, k) => k ? `${n}`.padStart(2, '0') : n).join(':');
const fixed = x => (Math.abs(x) < 5e-4 ? 0 : x).toFixed(3);
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

function old(id, seconds) {  // a figure that is not of now must not look like one
  const section = $(id), stale = known(seconds) && seconds > OLD_S;
  section.classList.toggle('stale', stale);
  if (stale) section.querySelector('h2').dataset.old = `${age(seconds)} old`;
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
    const kind = /pool/i.test(layer.name) ? 'pool'
      : /^(fc|dense|predictions)/.test(layer.name) ? 'fc' : 'conv';
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
    : `Cut after ${n.split_name} (${n.split}), codec ${n.codec}, ${bytes(n.bytes)} a frame`;
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
    ? `Last frame ${fixed(p.frame.above_idle)} J above idle` + (known(p.frame.uncertainty)
      ? ` ± ${p.frame.uncertainty.toFixed(3)}` : '') + (known(p.frame.residual)
      ? `; ${fixed(p.frame.residual)} W not explained by its stages` : '') : '';
  $('meter').textContent = `${p.source}${told}` + (known(p.per_result)
    ? `, metered ${Math.floor(100 * p.metered)} % of the time` : '');
  old('power', p.age_s);
}

function drawLink(l) {
  const rows = [['sent', `${bytes(l.sent_per_second)}/s`],
    ['a frame', bytes(l.bytes_per_frame)], ['time on the link', seconds(l.time)]];
  if (known(l.round_trip)) {
    rows.push(['bandwidth, estimated', known(l.bandwidth) ? `${bytes(l.bandwidth)}/s` : 'unknown'],
      ['round trip, estimated', seconds(l.round_trip)]);
  }
  $('figures').replaceChildren(...rows.flatMap(([k, v]) => [make('dt', k), make('dd', v)]));
}

function drawServers({servers, foreign}) {
  $('servers').replaceChildren(...servers.map(s => {
    const box = make('div');
    if (!known(s.age_s)) {
      box.append(make('p', `${s.name}: no messages`));
      return box;
    }
    const load = make('div', '', 'load'), i = make('i', '', s.utilisation > .9 ? 'high' : '');
    i.style.width = `${100 * Math.min(1, s.utilisation ?? 0)}%`;
    load.append(i);
    if (s.silent) box.className = 'stale';
    box.append(make('h2', s.silent ? `${s.name} is silent for ${age(s.age_s)}`
      + (s.used ? '' : ', no frame goes there') : ''),
      make('p', `${s.name}: ${[s.model, s.runs_on].filter(x => x).join(', ')}`),
      ...(foreign.includes(s.name) ? [make('p', 'It has another model or other weights than the drone.', 'bad')]
        : []), load,
      make('p', `busy ${percent(s.utilisation ?? 0)} · ${(s.arrival_rate ?? 0).toFixed(1)}/s · `
        + `queue ${s.queue} · wait ${seconds(s.expected_wait)} · done ${s.completed}`
        + (s.rejected ? ` · rejected ${s.rejected}` : '')),
      ...(known(s.power) ? [make('p', `${s.power.toFixed(2)} W` + (known(s.frame_energy)
        ? ` · ${s.frame_energy.toFixed(3)} J a frame` : '') + ` · ${s.meter}`)] : []));
    return box;
  }));
}

function fill(body, lines) {  // keeps the cells that are there, so that a click finds its row
  while (body.rows.length > lines.length) body.deleteRow(-1);
  lines.forEach(({name, cls, title, values}, k) => {
    const row = body.rows[k] ?? body.insertRow();
    [row.className, row.title, row.dataset.name] = [cls, title ?? '', name];
    while (row.cells.length > values.length) row.deleteCell(-1);
    values.forEach((value, n) => {
      const [words, mark] = [value].flat(), cell = row.cells[n] ?? row.insertCell();
      if (cell.textContent !== `${words}`) cell.textContent = words;
      cell.className = mark ?? '';
    });
  });
}

function drawFleet({fleet, drone}) {  // in one table, if there is more than the drone shown
  $('fleet').hidden = !fleet.drones.some(d => d.name !== drone);
  if ($('fleet').hidden) return;
  fill($('drones'), fleet.drones.map(d => droneLine(d, d.name === drone)));
  for (const row of $('drones').rows) row.tabIndex = 0;
  fill($('fleet-servers'), fleet.servers.map(serverLine));
  $('left-out').hidden = !fleet.left_out;
  $('left-out').textContent = `${fleet.left_out} more drones are not shown.`;
}

function droneLine(d, chosen) {
  const old = !known(d.frame_age_s) || d.frame_age_s > OLD_S;
  const share = d.with_deadline ? d.met / d.with_deadline : null;
  const mark = {live: d.warnings ? 'warn' : '', waiting: 'warn', lost: 'bad'}[d.state.kind];
  return {name: d.name, cls: `${chosen ? 'chosen ' : ''}${old ? 'old' : ''}`, values: [
    d.name,
    [d.state.words + (d.warnings ? `, ${d.warnings} to look at` : ''), mark],
    d.per_second.toFixed(1),
    [known(share) ? percent(share) : '–', known(share) && share < .9 ? 'bad' : ''],
    seconds(d.mean) + (known(d.deadline) ? ` of ${seconds(d.deadline)}` : ''),
    known(d.per_result) ? `${d.per_result.toFixed(3)} J${d.emulated ? ' (emulated)' : ''}` : '–',
    d.where + (d.server && ` → ${d.server}`),
    d.dropped ? `${d.dropped}, ${age(d.dropped_age_s)} ago` : '–',
    known(d.frame_age_s) ? `${age(d.frame_age_s)} ago` : 'never']};
}

function serverLine(s) {
  if (!known(s.age_s)) return {name: s.name, cls: 'old', values: [s.name, 'no messages']};
  const busy = s.utilisation ?? 0;
  return {
    name: s.name, cls: s.silent ? 'old' : '',
    title: s.served.map(d => `${d.drone}: ${percent(d.share ?? 0)} of its time, `
      + `queue ${d.queue}, done ${d.completed}`).join('\n'),
    values: [s.silent ? [`${s.name} is silent for ${age(s.age_s)}`, 'bad'] : s.name, s.drones,
      seconds(s.expected_wait), [percent(busy), busy > .9 ? 'bad' : ''], s.queue,
      known(s.mean_batch) ? `${s.mean_batch.toFixed(1)} of ${s.batch}` : '–', s.completed,
      s.busy, s.late, s.failed]};
}

function drawWarnings(s) {
  const own = name => name.startsWith(`${s.drone}/`) ? name.slice(s.drone.length + 1) : name;
  const item = w => {
    const li = make('li', '', w.level), since = w.level === 'silent' ? '' : ` (for ${age(w.for_s)})`;
    li.append(make('b', `${w.level} `), make('span', `${own(w.node)}: ${w.text}${since}`));
    return li;
  };
  const more = s.warnings.length - SHOWN;
  $('warnings').replaceChildren(...s.warnings.slice(0, SHOWN).map(item),
    ...(more > 0 ? [make('li', `and ${more} more`)] : []));
  $('warnings').hidden = !s.warnings.length;
  const well = s.health.filter(h => h.level === 'ok');
  $('well').replaceChildren(...well.map(h => make('li', `${own(h.name)}: ${h.message}`)));
  $('fine').textContent = `${well.length} of ${s.health.length} nodes are well`;
}

function drawRun(s) {
  $('caveats').replaceChildren(...s.caveats.map(words => make('li', words)));
  $('caveats').hidden = !s.caveats.length;
  const a = s.about;
  $('about').textContent = [a.model && `model ${a.model} (${a.weights})`, a.source].filter(
    x => x).join(' · ');
  $('clock').textContent = known(s.flight_s) ? clock(s.flight_s) : '';
  $('recording').hidden = !s.recording;
  if (s.recording) {
    $('recording').textContent = s.recording.on ? '● rec' : 'not recording';
    $('recording').className = s.recording.on ? 'pill on' : 'pill';
    $('recording').title = s.recording.on
      ? `${s.recording.bag}, ${s.recording.messages} messages` : 'see the warnings';
  }
}

let come = 0, drawn = 0;  // pictures

async function drawPicture(p) {  // what was found belongs to this picture: both change at once
  const number = ++come, picture = Object.assign(new Image(), {
    id: 'picture', alt: 'camera', decoding: 'sync', src: `data:image/jpeg;base64,${p.jpeg}`});
  await picture.decode();
  if (number < drawn) return;
  drawn = number;
  $('picture').replaceWith(picture);
  picture.parentElement.style.setProperty('--aspect', picture.naturalWidth / picture.naturalHeight);
  $('no-picture').hidden = true;
  drawFound(p.result);
  drawOver(p.result ?? {});
}

function drawFound(r) {
  if (!r) {
    $('label').textContent = 'no result for this image yet';
    $('others').replaceChildren();
    return;
  }
  const row = (tag, l) => {
    const e = make(tag, known(l.count) ? `${l.count} ${l.label}` : `${l.label} ${percent(l.score)}`);
    if (r.kind !== 'classification') {
      const chip = make('span', '', 'chip');
      chip.style.background = l.colour;
      e.prepend(chip);
    }
    return e;
  };
  const [first, ...others] = r.labels;
  $('label').replaceChildren(first ? row('span', first) : r.words,
                             r.trained ? '' : ' (untrained)');
  $('others').replaceChildren(...others.map(l => row('li', l)),
    ...(r.kind !== 'classification' && r.more ? [make('li', `and ${r.more} more labels`)] : []),
    ...(r.boxes_left_out ? [make('li', `${r.boxes_left_out} boxes are not drawn`)] : []));
}

function drawOver(r) {  // the best boxes last, on top of the others
  $('boxes').replaceChildren(...(r.boxes ?? []).map(drawBox).reverse());
  const fit = FITS[r.fit];
  $('map').hidden = !(r.map && fit);
  if ($('map').hidden) return;
  $('map').src = `data:image/png;base64,${r.map}`;
  $('map').style.objectFit = fit;
}

function drawBox(b, k) {
  const e = make('div', '', 'box'), [x0, y0, x1, y1] = b.box.map(x => 100 * x);
  Object.assign(e.style, {left: `${x0}%`, top: `${y0}%`, width: `${x1 - x0}%`,
    height: `${y1 - y0}%`});
  e.style.setProperty('--class', b.colour);
  if (k < NAMED) {
    e.append(make('span', `${b.label} ${percent(b.score)}`, x0 + x1 > 100 ? 'right' : ''));
  }
  return e;
}

// -- changing the drone ------------------------------------------------------------------------

// The drone that is shown in full is named in the address, so that it can be linked to.
const asked = location.hash.slice(1);
const about = path => asked ? `${path}?drone=${encodeURIComponent(asked)}` : path;
addEventListener('hashchange', () => location.reload());  // no figure of another drone is left
for (const kind of ['click', 'keydown']) {
  $('drones').addEventListener(kind, e => {
    const row = e.target.closest('tr');
    if (row && (kind === 'click' || e.key === 'Enter')) location.hash = row.dataset.name;
  });
}

let holds = null;  // what the drone said of its parameters

async function ask(options) {
  try {
    const answer = await fetch(about('control'), options), said = await answer.json();
    return answer.ok ? said : {error: said.error ?? answer.statusText};
  } catch (e) {
    return {error: 'the page has lost the drone'};
  }
}

function tell(words, bad) {
  $('answer').textContent = words;
  $('answer').className = bad ? 'bad' : '';
}

async function showControl(s) {
  $('control').hidden = !s.control;
  if (!s.control || holds || document.hidden || !s.fleet.drones.some(d => d.name === s.drone)) return;
  holds = {};  // asked
  const said = await ask();
  if (said.error) { setTimeout(() => { holds = null; }, RETRY_MS); return; }
  holds = said;
  for (const [name, value] of Object.entries(said)) {
    if ($('tune')[name]) $('tune')[name].value = value;
  }
  $('cuts').replaceChildren(...['auto', 'input', ...(s.network?.layers ?? []).map(l => l.name)].map(
    name => make('option', name)));
}

$('tune').addEventListener('submit', async e => {
  e.preventDefault();
  const told = [];
  for (const [parameter, value] of new FormData($('tune'))) {
    if (`${holds?.[parameter]}` === value) continue;
    tell(`changing ${parameter} …`);
    const said = await ask({method: 'POST', body: JSON.stringify({parameter, value})});
    if (said.error) { tell(said.error, true); return; }
    holds[parameter] = value;
    told.push(`${parameter} ${value}`);
  }
  tell(told.length ? `changed: ${told.join(', ')}` : 'nothing to change');
});

// -- the stream of events, and whether it lives -----------------------------------------------

let source = null, heard = null, state = null, tried = 0, refused = '';
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
  drawServers(s);
  drawFleet(s);
  drawWarnings(s);
  drawRun(s);
  showControl(s);
  old('camera', s.picture_age_s);
  for (const id of ['latency', 'network']) old(id, s.result_age_s);
  old('link', s.frame_age_s);
  if (s.result?.judged) {
    $('camera').title = `${s.result.right} of ${s.result.judged} labels with a known truth right`;
  }
}

function look() {  // a page that looks alive and is not is worse than none
  const now = performance.now(), silent = now - (heard ?? opened);
  let {kind, words} = state?.state ?? {kind: 'waiting', words: 'connecting'}, banner = '';
  if (refused) {
    [kind, words, banner] = ['gone', 'turned away', `This page is not live: ${refused}. `
      + 'Trying again.'];
  } else if (silent > STALE_MS) {
    [kind, words] = ['gone', 'connection lost'];
    banner = `No messages from the drone for ${age(silent / 1e3)}: everything below is old. `
      + 'Trying to connect again.';
  }
  if (silent > STALE_MS && now - tried > RETRY_MS) {
    connect();  // a browser may wait for minutes for a lost network
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
  source = new EventSource(about('events'));
  source.addEventListener('state', e => {
    [heard, refused] = [performance.now(), ''];
    draw(JSON.parse(e.data));
    look();
  });
  source.addEventListener('refused', e => {
    refused = JSON.parse(e.data).why;
    source.close();
    look();
  });
  source.addEventListener('picture', e => drawPicture(JSON.parse(e.data)));
}

function stored(value) {  // a browser may forbid it, by throwing
  try {
    if (value) localStorage.setItem('theme', value);
    return localStorage.getItem('theme');
  } catch (e) {
    return null;
  }
}

const theme = document.documentElement.dataset;
theme.theme = stored() ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light');
$('theme').addEventListener('click', () => {
  theme.theme = theme.theme === 'dark' ? 'light' : 'dark';
  stored(theme.theme);
});
document.addEventListener('visibilitychange', connect);
setInterval(look, 500);
connect();
