/* Entropy coder for planes of bytes that learns as it goes.
 *
 * The distribution of each element is a mixture of three: the most frequent value of its channel,
 * weighed by how many of its neighbours have that value; a logistic distribution around a linear
 * prediction from the neighbours, as wide as recent errors were; and one for those values of the
 * channel that are not the most frequent. All weights are learned from the elements before.
 * Numbers are 1/256 of a step, and 1/65536 for shares, unless said otherwise.
 */
#include <string.h>

#include "rans.h"

enum {
    NEIGHBOURS = 4, CONTEXTS = 27, /* of 3 * 3 for left and above, by 3 for the two corners */
    CURVE = 353, /* steps of the logistic curve on each side of its centre */
    FLOOR = 26, OTHERS_FLOOR = 64, /* least widths, in 1/256 of a step */
    PREDICTION_RATE = 6, SPIKE_RATE = 5, SHARE_RATE = 6, /* as right shifts */
    ERROR_WINDOW = 24, OTHERS_WINDOW = 32, MEAN_WINDOW = 255,
    LEAST_SPIKE = 32, MOST_SPIKE = 65400, LEAST_SHARE = 1300, MOST_SHARE = 59000
};

/* `curve[CURVE + z]` is the logistic function in 1/32768; `steepness[i]` has the steps of the
 * curve in 1/256 of a step, by 65536, for each class of widths; `reciprocal[n]` is 65536 / n. */
typedef struct {
    const uint16_t *curve;
    const uint32_t *steepness, *reciprocal;
} tables_t;

typedef struct {
    uint32_t spike[CONTEXTS]; /* the share of the most frequent value in each context */
    uint32_t share;           /* of the channel's other values, by all but the spike */
} learned_t;

typedef struct {
    int32_t weight[NEIGHBOURS]; /* of the neighbours, in 2**-20 */
    int32_t mean, others_mean;
    uint32_t error, others_error; /* mean absolute errors of late */
} habit_t;

typedef struct {
    habit_t now, before; /* of this channel, and of those before in this lane */
    uint32_t seen, others, count[256];
    uint8_t most;
    uint32_t *errors; /* absolute errors in this row left of an element, else in the row above */
} channel_t;

typedef struct {
    int32_t value[NEIGHBOURS]; /* left, above, and the corners, less the mean */
    int32_t predicted, others_mean;
    uint32_t error, steepness, others_steepness;
    uint32_t local, others, spike; /* shares, of TOTAL less one for each symbol */
    int context, most, symbols;
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

static void end_channel(channel_t *c) {
    habit_t *a = &c->before, *b = &c->now;
    for (int j = 0; j < NEIGHBOURS; j++) a->weight[j] = (3 * a->weight[j] + b->weight[j]) / 4;
    a->mean = (3 * a->mean + b->mean) / 4;
    a->others_mean = (3 * a->others_mean + b->others_mean) / 4;
    a->error = (3 * a->error + b->error) / 4;
    a->others_error = (3 * a->others_error + b->others_error) / 4;
}

/* Return what is expected of the element at `p`, of a value up to `symbols` less one. */
static inline expected_t expect(const channel_t *c, const learned_t *learned, const tables_t *t,
                                const uint8_t *p, size_t x, size_t y, size_t width, int symbols) {
    expected_t e;
    const habit_t *now = &c->now;
    int most = c->most, has_left = x > 0, has_above = y > 0, has_right = y && x + 1 < width;
    int above = has_above ? p[-(ptrdiff_t)width] : 0, left = has_left ? p[-1] : above;
    if (!has_above) above = left;
    int corner = x && y ? p[-(ptrdiff_t)width - 1] : above;
    int right = has_right ? p[1 - (ptrdiff_t)width] : above;
    int known = has_left || has_above;
    e.value[0] = known ? (left << 8) - now->mean : 0;
    e.value[1] = known ? (above << 8) - now->mean : 0;
    e.value[2] = known ? (corner << 8) - now->mean : 0;
    e.value[3] = known ? (right << 8) - now->mean : 0;
    int64_t sum = 0;
    for (int j = 0; j < NEIGHBOURS; j++) sum += (int64_t)now->weight[j] * e.value[j];
    e.predicted = clamp(now->mean + (int32_t)(sum >> 20), 0, (symbols - 1) << 8);
    uint32_t error_left = has_left ? c->errors[x - 1] : now->error;
    uint32_t error_above = has_above ? c->errors[x] : now->error;
    uint32_t error_right = has_right ? c->errors[x + 1] : error_above;
    e.error = (8 * now->error + 4 * error_left + 2 * error_above + 2 * error_right) / 16;
    e.steepness = t->steepness[class_of(e.error + FLOOR)];
    e.others_mean = now->others_mean;
    e.others_steepness =
        t->steepness[class_of(now->others_error + now->others_error / 4 + OTHERS_FLOOR)];
    e.most = most;
    e.context = ((has_left ? left == most : 2) * 3 + (has_above ? above == most : 2)) * 3 +
                (x && y && corner == most) + (has_right && right == most);
    e.symbols = symbols;
    uint32_t whole = TOTAL - (uint32_t)symbols;
    e.spike = learned->spike[e.context] * whole >> 16;
    e.others = (uint32_t)((uint64_t)(whole - e.spike) * learned->share >> 16);
    e.local = whole - e.spike - e.others;
    return e;
}

/* Return the logistic function at the lower edge of `value`. */
static inline uint32_t curve_at(const tables_t *t, int value, int32_t centre, uint32_t steepness) {
    int64_t z = ((int64_t)((value << 8) - 128 - centre) * steepness) >> 16;
    return t->curve[CURVE + (z < -CURVE ? -CURVE : z > CURVE ? CURVE : z)];
}

/* Return where the frequencies of `value` start, 0 up to TOTAL. */
static inline uint32_t start_of(const expected_t *e, const tables_t *t, int value) {
    if (value <= 0) return 0;
    if (value >= e->symbols) return TOTAL;
    uint32_t local = curve_at(t, value, e->predicted, e->steepness);
    uint32_t others = curve_at(t, value, e->others_mean, e->others_steepness);
    return (uint32_t)value + ((e->local * local + e->others * others) >> 15) +
           (value > e->most ? e->spike : 0);
}

static inline void move(int32_t *mean, uint32_t *error, int32_t value, uint32_t rate) {
    int32_t off = value - *mean;
    uint32_t size = (uint32_t)(off < 0 ? -off : off);
    *error += (uint32_t)(((int64_t)size - *error) * rate >> 16);
    *mean += (int32_t)((int64_t)off * rate >> 16);
}

/* Learn from the element `value`, of `frequency`. */
static inline void learn(channel_t *c, learned_t *learned, const tables_t *t, const expected_t *e,
                         int value, uint32_t frequency, size_t x) {
    habit_t *now = &c->now;
    int is_most = value == e->most;
    uint32_t *spike = &learned->spike[e->context];
    uint32_t by_spike = is_most ? (e->spike << 16) / frequency : 0;
    *spike += (uint32_t)((int32_t)(by_spike - *spike) >> SPIKE_RATE);
    *spike = (uint32_t)clamp((int32_t)*spike, LEAST_SPIKE, MOST_SPIKE);
    if (!is_most || !c->others) {
        uint32_t low = value ? curve_at(t, value, e->others_mean, e->others_steepness) : 0;
        uint32_t high = value + 1 < e->symbols
            ? curve_at(t, value + 1, e->others_mean, e->others_steepness) : TOTAL;
        uint32_t by_others = (uint32_t)(((uint64_t)e->others * (high - low) << 1) /
                                        (frequency - (is_most ? e->spike : 0)));
        int32_t step = ((int32_t)by_others - (int32_t)learned->share) >> SHARE_RATE;
        learned->share =
            (uint32_t)clamp((int32_t)learned->share + step, LEAST_SHARE, MOST_SHARE);
        uint32_t n = c->others < OTHERS_WINDOW - 2 ? c->others + 2 : OTHERS_WINDOW;
        move(&now->others_mean, &now->others_error, value << 8, t->reciprocal[n]);
        c->others++;
    }
    int32_t off = (value << 8) - e->predicted;
    uint32_t size = (uint32_t)(off < 0 ? -off : off);
    c->errors[x] = size;
    uint32_t n = c->seen / 2 + 2;
    now->error += (uint32_t)(((int64_t)size - now->error) *
                             t->reciprocal[n < ERROR_WINDOW ? n : ERROR_WINDOW] >> 16);
    n = c->seen + 2;
    now->mean += (int32_t)((int64_t)((value << 8) - now->mean) *
                           t->reciprocal[n < MEAN_WINDOW ? n : MEAN_WINDOW] >> 16);
    uint64_t norm = 65536 + 4 * (uint64_t)e->error * e->error;
    for (int j = 0; j < NEIGHBOURS; j++) norm += (uint64_t)((int64_t)e->value[j] * e->value[j]);
    int shift = 64 - __builtin_clzll(norm) - (20 - PREDICTION_RATE);
    for (int j = 0; j < NEIGHBOURS; j++) {
        int32_t step = (int32_t)((int64_t)off * e->value[j] >> shift);
        now->weight[j] = clamp(now->weight[j] + step, -(1 << 21), 1 << 21);
    }
    if (++c->count[value] > c->count[c->most]) c->most = (uint8_t)value;
    c->seen++;
}

static void begin(channel_t *channel, learned_t *learned, int lanes, size_t width, int zero,
                  uint32_t *errors) {
    habit_t first = {{314573, 314573, 0, 0}, zero << 8, (zero << 8) + 5120, 2048, 3840};
    for (int k = 0; k < lanes; k++) {
        channel[k].before = first;
        channel[k].errors = errors + k * width;
    }
    for (int i = 0; i < CONTEXTS; i++) learned->spike[i] = 19661;
    learned->share = 19661;
}

/* Return how many channels take turns from channel `c` on. */
static inline int lanes_at(size_t c, size_t channels, int lanes) {
    return channels - c < (size_t)lanes ? (int)(channels - c) : lanes;
}

/* Code `in`, (channels, height, width), of values below `symbols`, `zero` being likely at the
 * start. `work` has room for each element and 4 rows; writes to the end of `out`, which has 2
 * bytes for each element and 16 more, and returns how many bytes of it are unused. */
size_t offload_adaptive_encode(const uint8_t *in, size_t channels, size_t height, size_t width,
                               int symbols, int zero, const uint16_t *curve,
                               const uint32_t *steepness, const uint32_t *reciprocal,
                               uint32_t *work, uint8_t *out) {
    size_t plane = height * width, size = channels * plane;
    int lanes = lanes_for(size);
    tables_t t = {curve, steepness, reciprocal};
    learned_t learned;
    channel_t channel[MAX_LANES];
    begin(channel, &learned, lanes, width, zero, work + size);
    uint32_t *coded = work;
    for (size_t c = 0; c < channels; c += lanes) {
        int group = lanes_at(c, channels, lanes);
        for (int k = 0; k < group; k++) begin_channel(&channel[k], zero);
        const uint8_t *p = in + c * plane;
        for (size_t y = 0; y < height; y++)
            for (size_t x = 0; x < width; x++, p++)
                for (int k = 0; k < group; k++) {
                    const uint8_t *at = p + k * plane;
                    expected_t e = expect(&channel[k], &learned, &t, at, x, y, width, symbols);
                    uint32_t start = start_of(&e, &t, *at);
                    uint32_t frequency = start_of(&e, &t, *at + 1) - start;
                    *coded++ = start << 16 | frequency;
                    learn(&channel[k], &learned, &t, &e, *at, frequency, x);
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

/* Return the value at `slot`; near what was predicted it takes the fewest steps. */
static inline int value_at(const expected_t *e, const tables_t *t, uint32_t slot) {
    if (slot >= start_of(e, t, e->most) && slot < start_of(e, t, e->most + 1)) return e->most;
    int low = 0, high = e->symbols, step = 1 + (int)(e->error >> 8);
    for (int at = (e->predicted + 128) >> 8; high - low > 1; step *= 2) {
        int up = slot >= start_of(e, t, at);
        if (up)
            low = at;
        else
            high = at;
        at = up ? low + step : high - step;
        if (at <= low || at >= high) at = (low + high) / 2;
    }
    return low;
}

/* Decode into `out`; the other arguments are as for encoding, but `errors` has room for 4 rows.
 * Returns 0, or 1 if the `size` bytes at `data` are no such stream. */
int offload_adaptive_decode(const uint8_t *data, size_t size, uint8_t *out, size_t channels,
                            size_t height, size_t width, int symbols, int zero,
                            const uint16_t *curve, const uint32_t *steepness,
                            const uint32_t *reciprocal, uint32_t *errors) {
    size_t plane = height * width;
    int lanes = lanes_for(channels * plane);
    tables_t t = {curve, steepness, reciprocal};
    learned_t learned;
    channel_t channel[MAX_LANES];
    uint32_t state[MAX_LANES];
    stream_t in = {data, data + size};
    if (take_states(state, lanes, &in)) return 1;
    begin(channel, &learned, lanes, width, zero, errors);
    for (size_t c = 0; c < channels; c += lanes) {
        int group = lanes_at(c, channels, lanes);
        for (int k = 0; k < group; k++) begin_channel(&channel[k], zero);
        uint8_t *p = out + c * plane;
        for (size_t y = 0; y < height; y++)
            for (size_t x = 0; x < width; x++, p++)
                for (int k = 0; k < group; k++) {
                    uint8_t *at = p + k * plane;
                    expected_t e = expect(&channel[k], &learned, &t, at, x, y, width, symbols);
                    int value = value_at(&e, &t, slot_of(state[k]));
                    uint32_t start = start_of(&e, &t, value);
                    uint32_t frequency = start_of(&e, &t, value + 1) - start;
                    *at = (uint8_t)value;
                    advance(&state[k], &in, start, frequency);
                    learn(&channel[k], &learned, &t, &e, value, frequency, x);
                }
        for (int k = 0; k < group; k++) end_channel(&channel[k]);
    }
    return is_broken(state, lanes, &in);
}
