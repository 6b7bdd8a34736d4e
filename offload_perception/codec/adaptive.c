/* Copyright 2026 offload_perception maintainers. License: Apache-2.0. */
/* Entropy coder for planes of bytes that learns as it goes.
 *
 * The distribution of each element is a mixture of three: the most frequent value of its channel;
 * a logistic distribution around a linear prediction from the neighbours, as wide as recent errors
 * were; and one around a prediction made for those values that are not the most frequent. The
 * log-odds of each share are a sum, of what is learned in a context, namely which neighbours have
 * the most frequent value, and what is learned in the channel. The width of the second grows and
 * shrinks with the context, with the errors nearby, and with the place: where channels before were
 * hard to predict, the next one is. All is learned from the elements before.
 * Numbers are 1/256 of a step, and 1/65536 for shares, unless said otherwise.
 */
#include <string.h>

#include "rans.h"  /* NOLINT(build/include_subdir): it lies beside this file */

enum {
    MAX_LANES = 4, /* channels that take turns, each with a state of its own */
    NEIGHBOURS = 4, CONTEXTS = 27, /* of 3 * 3 for left and above, by 3 for the two corners */
    CURVE = 353, /* steps of the logistic curve on each side of its centre */
    FLOOR = 26, OTHERS_FLOOR = 64, /* least widths, in 1/256 of a step */
    CLASSES = 104, RATIOS = 6, RATIO_STEP = 6, /* classes of widths: 8 to a doubling */
    TYPICAL = 48, FARTHEST = 264, /* steps of the curve in a mean error; the most to learn from */
    PREDICTION_RATE = 4, /* as a right shift */
    CONTEXT_RATE = 5, CHANNEL_RATE = 96, WIDER_RATE = 128, PLACE_RATE = 512,
    ERROR_WINDOW = 40, OTHERS_WINDOW = 32, MEAN_WINDOW = 255, ODDS_WINDOW = 10,
    FIRST_ODDS = -27 * 65536, MOST_ODDS = 220 * 65536, WIDEST = 23 * 65536
};

/* Used twice, and long: GCC would call these, and an element would take a sixth longer. */
#define INLINE static inline __attribute__((always_inline))

/* `curve[CURVE + z]` is the logistic function in 1/32768; `steepness[i]` has the steps of the
 * curve in 1/256 of a step, by 65536, for each class of widths; `reciprocal[n]` is 65536 / n. */
typedef struct {
    const uint16_t *curve;
    const uint32_t *steepness, *reciprocal;
} tables_t;

/* Of all channels. Odds are logarithms, in 1/65536 of a step of the curve; how much wider errors
 * are is in 1/65536 of a class. */
typedef struct {
    int32_t spike[CONTEXTS], others[CONTEXTS]; /* odds of these shares */
    int32_t wider[CONTEXTS][RATIOS]; /* by how errors nearby compare to those of the channel */
    int32_t *wider_at;               /* at each place of the plane */
} learned_t;

typedef struct {
    int32_t weight[NEIGHBOURS], mean; /* weights in 2**-20 */
    uint32_t error;                   /* mean absolute error of late */
} predictor_t;

typedef struct {
    predictor_t all, others; /* of every element, and of those not the most frequent value */
    int32_t spike_odds, others_odds; /* beside those of the context */
} habit_t;

typedef struct {
    habit_t now, before; /* of this channel, and of those before in this lane */
    uint32_t seen, others, count[256];
    uint8_t most;
    uint32_t *errors; /* absolute errors in this row left of an element, else in the row above */
} channel_t;

typedef struct {
    int32_t value[NEIGHBOURS]; /* left, above, and the corners, less the mean */
    uint64_t power;            /* of these values: the sum of their squares */
    int32_t predicted, others_predicted;
    uint32_t error, steepness, others_steepness;
    uint32_t local, others, spike; /* shares, of TOTAL less one for each symbol */
    uint32_t others_share;         /* in 1/32768 of all but the spike */
    int context, ratio, most, symbols;
} expected_t;

static inline int32_t clamp(int32_t value, int32_t low, int32_t high) {
    return value < low ? low : value > high ? high : value;
}

static inline int class_of(uint32_t width) {
    int bits = 31 - __builtin_clz(width);
    return (bits - 4) * 8 + (int)(width >> (bits - 3) & 7);
}

static void begin_channel(channel_t *c, int zero) {
    memset(c->count, 0, sizeof c->count);
    c->now = c->before;
    c->most = (uint8_t)zero;
    c->seen = c->others = 0;
}

static void average(predictor_t *a, const predictor_t *b) {
    for (int j = 0; j < NEIGHBOURS; j++) a->weight[j] = (a->weight[j] + b->weight[j]) / 2;
    a->mean = (a->mean + b->mean) / 2;
    a->error = (a->error + b->error) / 2;
}

static void end_channel(channel_t *c) {
    habit_t *a = &c->before, *b = &c->now;
    average(&a->all, &b->all);
    average(&a->others, &b->others);
    a->spike_odds = (a->spike_odds + b->spike_odds) / 2;
    a->others_odds = (a->others_odds + b->others_odds) / 2;
}

/* Return what the neighbours, of these values less the mean, let expect. */
INLINE int32_t predict(const predictor_t *p, const int32_t *value, int symbols) {
    int64_t sum = 0;
    for (int j = 0; j < NEIGHBOURS; j++) sum += (int64_t)p->weight[j] * value[j];
    return clamp(p->mean + (int32_t)(sum >> 20), 0, (symbols - 1) << 8);
}

/* Return the share, in 1/32768, that has these odds. */
static inline uint32_t share_of(const tables_t *t, int32_t odds) {
    return t->curve[CURVE + ((clamp(odds, -MOST_ODDS, MOST_ODDS) + 32768) >> 16)];
}

/* Return what is expected of the element at `p`, of a value up to `symbols` less one, at a place
 * where errors are `wider`. */
INLINE expected_t expect(const channel_t *c, const learned_t *learned, const tables_t *t,
                         const uint8_t *p, size_t x, size_t y, size_t width, int symbols,
                         int32_t wider) {
    expected_t e;
    const habit_t *now = &c->now;
    int most = c->most, has_left = x > 0, has_above = y > 0, has_right = y && x + 1 < width;
    int above = has_above ? p[-(ptrdiff_t)width] : 0, left = has_left ? p[-1] : above;
    if (!has_above) above = left;
    int corner = x && y ? p[-(ptrdiff_t)width - 1] : above;
    int right = has_right ? p[1 - (ptrdiff_t)width] : above;
    int known = has_left || has_above;
    e.value[0] = known ? (left << 8) - now->all.mean : 0;
    e.value[1] = known ? (above << 8) - now->all.mean : 0;
    e.value[2] = known ? (corner << 8) - now->all.mean : 0;
    e.value[3] = known ? (right << 8) - now->all.mean : 0;
    e.power = 0;
    for (int j = 0; j < NEIGHBOURS; j++) e.power += (uint64_t)((int64_t)e.value[j] * e.value[j]);
    e.predicted = predict(&now->all, e.value, symbols);
    e.others_predicted = predict(&now->others, e.value, symbols);
    uint32_t usual = now->all.error;
    uint32_t error_left = has_left ? c->errors[x - 1] : usual;
    uint32_t error_above = has_above ? c->errors[x] : usual;
    uint32_t error_right = has_right ? c->errors[x + 1] : error_above;
    e.error = (10 * usual + 2 * error_left + 2 * error_above + 2 * error_right) / 16;
    e.most = most;
    e.context = ((has_left ? left == most : 2) * 3 + (has_above ? above == most : 2)) * 3 +
                (x && y && corner == most) + (has_right && right == most);
    int ratio = class_of((error_left + error_above) / 2 + FLOOR) - class_of(usual + FLOOR) +
                RATIOS / 2 * RATIO_STEP;
    e.ratio = clamp(ratio, 0, RATIOS * RATIO_STEP - 1) / RATIO_STEP;
    wider += learned->wider[e.context][e.ratio];
    e.steepness = t->steepness[clamp(class_of(e.error + FLOOR) + (wider >> 16), 0, CLASSES - 1)];
    uint32_t others_error = now->others.error;
    e.others_steepness = t->steepness[class_of(others_error + others_error / 8 + OTHERS_FLOOR)];
    e.symbols = symbols;
    uint32_t whole = TOTAL - (uint32_t)symbols;
    e.spike = whole * share_of(t, learned->spike[e.context] + now->spike_odds) >> 15;
    e.others_share = share_of(t, learned->others[e.context] + now->others_odds);
    e.others = (whole - e.spike) * e.others_share >> 15;
    e.local = whole - e.spike - e.others;
    return e;
}

/* Return the logistic function at the lower edge of `value`. */
INLINE uint32_t curve_at(const tables_t *t, int value, int32_t centre, uint32_t steepness) {
    int64_t z = ((int64_t)((value << 8) - 128 - centre) * steepness) >> 16;
    return t->curve[CURVE + (z < -CURVE ? -CURVE : z > CURVE ? CURVE : z)];
}

/* Return where the frequencies of `value` start, 0 up to TOTAL. */
INLINE uint32_t start_of(const expected_t *e, const tables_t *t, int value) {
    if (value <= 0) return 0;
    if (value >= e->symbols) return TOTAL;
    uint32_t local = curve_at(t, value, e->predicted, e->steepness);
    uint32_t others = curve_at(t, value, e->others_predicted, e->others_steepness);
    return (uint32_t)value + ((e->local * local + e->others * others) >> 15) +
           (value > e->most ? e->spike : 0);
}

/* Learn from `value`, in 1/256, where `predicted` was expected, with errors around `error`. */
INLINE void improve(predictor_t *p, const expected_t *e, int32_t value, int32_t predicted,
                    uint32_t error, uint32_t mean_rate, uint32_t error_rate) {
    int32_t off = value - predicted;
    uint32_t size = (uint32_t)(off < 0 ? -off : off);
    uint64_t norm = 65536 + 4 * (uint64_t)error * error + e->power;
    int shift = 64 - __builtin_clzll(norm) - (20 - PREDICTION_RATE);
    for (int j = 0; j < NEIGHBOURS; j++) {
        int32_t step = (int32_t)((int64_t)off * e->value[j] >> shift);
        p->weight[j] = clamp(p->weight[j] + step, -(1 << 21), 1 << 21);
    }
    p->error += (uint32_t)(((int64_t)size - p->error) * error_rate >> 16);
    p->mean += (int32_t)((int64_t)(value - p->mean) * mean_rate >> 16);
}

/* Learn that a share was off by `by`, in a context, and in a channel with `n` elements so far. */
static inline void adjust(int32_t *context, int32_t *channel, int32_t by, uint32_t n,
                          const tables_t *t) {
    uint32_t rate = CHANNEL_RATE * t->reciprocal[n + 2 < ODDS_WINDOW ? n + 2 : ODDS_WINDOW];
    *context = clamp(*context + CONTEXT_RATE * by, -MOST_ODDS, MOST_ODDS);
    *channel = clamp(*channel + (int32_t)((int64_t)by * rate >> 16), -MOST_ODDS, MOST_ODDS);
}

/* Learn from the element `value`, of `frequency`; returns how much wider its place shall be. */
INLINE int32_t learn(channel_t *c, learned_t *learned, const tables_t *t, const expected_t *e,
                     int value, uint32_t frequency, size_t x) {
    habit_t *now = &c->now;
    int is_most = value == e->most;
    uint32_t by_spike = is_most ? (e->spike << 16) / frequency : 0;
    adjust(&learned->spike[e->context], &now->spike_odds, (int32_t)(by_spike - (e->spike << 1)),
           c->seen, t);
    if (!is_most || !c->others) {
        uint32_t low = value ? curve_at(t, value, e->others_predicted, e->others_steepness) : 0;
        uint32_t high = value + 1 < e->symbols
            ? curve_at(t, value + 1, e->others_predicted, e->others_steepness) : 32768;
        uint32_t by_others =
            (e->others * (high - low) << 1) / (frequency - (is_most ? e->spike : 0));
        adjust(&learned->others[e->context], &now->others_odds,
               (int32_t)(by_others - (e->others_share << 1)), c->others, t);
        uint32_t n = c->others < OTHERS_WINDOW - 2 ? c->others + 2 : OTHERS_WINDOW;
        improve(&now->others, e, value << 8, e->others_predicted, now->others.error,
                t->reciprocal[n], t->reciprocal[n]);
        c->others++;
    }
    uint32_t n = c->seen + 2 < MEAN_WINDOW ? c->seen + 2 : MEAN_WINDOW;
    uint32_t half = c->seen / 2 + 2 < ERROR_WINDOW ? c->seen / 2 + 2 : ERROR_WINDOW;
    improve(&now->all, e, value << 8, e->predicted, e->error, t->reciprocal[n],
            t->reciprocal[half]);
    int32_t off = (value << 8) - e->predicted;
    uint32_t size = (uint32_t)(off < 0 ? -off : off);
    c->errors[x] = size;
    if (++c->count[value] > c->count[c->most]) c->most = (uint8_t)value;
    c->seen++;
    uint32_t steps = (uint32_t)((uint64_t)size * e->steepness >> 16);
    int32_t more = (int32_t)(steps < FARTHEST ? steps : FARTHEST) - TYPICAL;
    int32_t *wider = &learned->wider[e->context][e->ratio];
    *wider = clamp(*wider + more * WIDER_RATE, -WIDEST, WIDEST);
    return more * PLACE_RATE;
}

static void begin(channel_t *channel, learned_t *learned, int lanes, size_t height, size_t width,
                  int zero, uint32_t *work) {
    habit_t first = {{{314573, 314573, 0, 0}, zero << 8, 2048},
                     {{0, 0, 0, 0}, (zero << 8) + 5120, 3840}, 0, 0};
    for (int k = 0; k < lanes; k++) {
        channel[k].before = first;
        channel[k].errors = work + k * width;
    }
    memset(learned, 0, sizeof *learned);
    for (int i = 0; i < CONTEXTS; i++) learned->spike[i] = learned->others[i] = FIRST_ODDS;
    learned->wider_at = (int32_t *)work + MAX_LANES * width;
    memset(learned->wider_at, 0, height * width * sizeof *learned->wider_at);
}

static inline int lanes_for(size_t elements) { return elements < SMALL ? 1 : MAX_LANES; }

/* Return how many channels take turns from channel `c` on. */
static inline int lanes_at(size_t c, size_t channels, int lanes) {
    return channels - c < (size_t)lanes ? (int)(channels - c) : lanes;
}

/* Code `in`, (channels, height, width), of values below `symbols`, `zero` being likely at the
 * start. `work` has room for each element, 4 rows and a plane; writes to the end of `out`, which
 * has 2 bytes for each element and 16 more, and returns how many bytes of it are unused. */
size_t offload_adaptive_encode(const uint8_t *in, size_t channels, size_t height, size_t width,
                               int symbols, int zero, const uint16_t *curve,
                               const uint32_t *steepness, const uint32_t *reciprocal,
                               uint32_t *work, uint8_t *out) {
    size_t plane = height * width, size = channels * plane;
    int lanes = lanes_for(size);
    tables_t t = {curve, steepness, reciprocal};
    learned_t learned;
    channel_t channel[MAX_LANES];
    begin(channel, &learned, lanes, height, width, zero, work + size);
    uint32_t *coded = work;
    for (size_t c = 0; c < channels; c += lanes) {
        int group = lanes_at(c, channels, lanes);
        for (int k = 0; k < group; k++) begin_channel(&channel[k], zero);
        const uint8_t *p = in + c * plane;
        for (size_t y = 0; y < height; y++)
            for (size_t x = 0; x < width; x++, p++) {
                int32_t *wider = &learned.wider_at[y * width + x], by = 0;
                for (int k = 0; k < group; k++) {
                    const uint8_t *at = p + k * plane;
                    expected_t e =
                        expect(&channel[k], &learned, &t, at, x, y, width, symbols, *wider);
                    uint32_t start = start_of(&e, &t, *at);
                    uint32_t frequency = start_of(&e, &t, *at + 1) - start;
                    *coded++ = start << 16 | frequency;
                    by += learn(&channel[k], &learned, &t, &e, *at, frequency, x);
                }
                *wider = clamp(*wider + by, -WIDEST, WIDEST);
            }
        for (int k = 0; k < group; k++) end_channel(&channel[k]);
    }
    uint8_t *p = out + 2 * size + 16;
    uint32_t state[MAX_LANES];
    for (int k = 0; k < lanes; k++) state[k] = first_state(lanes);
    for (size_t groups = (channels + lanes - 1) / lanes; groups--;) {
        int group = lanes_at(groups * lanes, channels, lanes);
        for (size_t i = plane; i--;)
            for (int k = group; k--;) {
                coded--;
                p = put(&state[k], p, *coded >> 16, *coded & 0xFFFF);
            }
    }
    return (size_t)(put_states(state, lanes, p) - out);
}

typedef struct {
    int value;
    uint32_t start, frequency;
} found_t;

/* Return the value at `slot`; near what was predicted it takes the fewest steps. */
INLINE found_t value_at(const expected_t *e, const tables_t *t, uint32_t slot) {
    int low = 0, high = e->symbols, step = 1 + (int)(e->error >> 8);
    uint32_t start = start_of(e, t, e->most), end = start_of(e, t, e->most + 1);
    if (slot >= start && slot < end) {
        found_t most = {e->most, start, end - start};
        return most;
    }
    if (slot < start) {
        high = e->most;
        end = start;
        start = 0;
    } else {
        low = e->most + 1;
        start = end;
        end = TOTAL;
    }
    for (int at = (e->predicted + 128) >> 8; high - low > 1; step *= 2) {
        if (at <= low || at >= high) at = (low + high) / 2;
        uint32_t middle = start_of(e, t, at);
        if (slot >= middle) {
            low = at;
            start = middle;
            at += step;
        } else {
            high = at;
            end = middle;
            at -= step;
        }
    }
    found_t found = {low, start, end - start};
    return found;
}

/* Decode into `out`; the other arguments are as for encoding, but `work` has room for 4 rows
 * and a plane. Returns 0, or 1 if the `size` bytes at `data` are no such stream. */
int offload_adaptive_decode(const uint8_t *data, size_t size, uint8_t *out, size_t channels,
                            size_t height, size_t width, int symbols, int zero,
                            const uint16_t *curve, const uint32_t *steepness,
                            const uint32_t *reciprocal, uint32_t *work) {
    size_t plane = height * width;
    int lanes = lanes_for(channels * plane);
    tables_t t = {curve, steepness, reciprocal};
    learned_t learned;
    channel_t channel[MAX_LANES];
    uint32_t state[MAX_LANES];
    stream_t in = {data, data + size};
    if (take_states(state, lanes, &in)) return 1;
    begin(channel, &learned, lanes, height, width, zero, work);
    for (size_t c = 0; c < channels; c += lanes) {
        int group = lanes_at(c, channels, lanes);
        for (int k = 0; k < group; k++) begin_channel(&channel[k], zero);
        uint8_t *p = out + c * plane;
        for (size_t y = 0; y < height; y++)
            for (size_t x = 0; x < width; x++, p++) {
                int32_t *wider = &learned.wider_at[y * width + x], by = 0;
                for (int k = 0; k < group; k++) {
                    uint8_t *at = p + k * plane;
                    expected_t e =
                        expect(&channel[k], &learned, &t, at, x, y, width, symbols, *wider);
                    found_t found = value_at(&e, &t, slot_of(state[k]));
                    *at = (uint8_t)found.value;
                    advance(&state[k], &in, found.start, found.frequency, 0);
                    by += learn(&channel[k], &learned, &t, &e, found.value, found.frequency, x);
                }
                *wider = clamp(*wider + by, -WIDEST, WIDEST);
            }
        for (int k = 0; k < group; k++) end_channel(&channel[k]);
    }
    return is_broken(state, lanes, &in);
}
