/* Copyright 2026 offload_perception maintainers. License: Apache-2.0. */
/* Entropy coder for feature maps of bytes: static tables, chosen for each element by what is known.
 *
 * A map is (height, width, channels), as a network has it. Up to GROUP channels are coded side by
 * side, place by place: what chooses their tables is the same arithmetic for each, which compilers
 * turn into vector instructions, and while the processor waits for one state it goes on with others.
 */
#include "rans.h"  /* NOLINT(build/include_subdir): it lies beside this file */

enum { GROUP = 32, STATES = 8, BUCKET_SHIFT = PRECISION - 8, RATIOS = 6, FIRST_MEAN = 4096 };

/* Inlined where `lanes` or `states` is a constant, so that loops over them are unrolled. */
#define INLINE static inline __attribute__((always_inline))

typedef struct {
    size_t channels, height, width;
} shape_t;

/* `start[t]` has 257 cumulative frequencies up to TOTAL, every symbol's above zero; `bucket[t][i]`
 * is the symbol at frequency i << BUCKET_SHIFT. */
typedef struct {
    const uint16_t (*start)[257];
    const uint8_t (*bucket)[256];
} tables_t;

/* What chooses the table of an element: its channel; or, if that is NULL, its neighbours; or, if
 * `magnitude` is NULL, too, a prediction from the elements to the left and above. */
typedef struct {
    const uint8_t *of_channel;
    const uint8_t *magnitude;   /* first table for each magnitude, in eighths of a step */
    const int32_t (*weight)[2]; /* of left and above, in 1/256 and at most 2^15, for each channel */
    const uint8_t (*predicted)[256]; /* table for each eighth from 16 below `zero` to 16 above it */
    int zero;
} chooser_t;

static int states_for(const shape_t *s) {
    return s->channels * s->height * s->width < SMALL ? 1 : STATES;
}

/* Return how many channels go side by side from `first` on. */
static int lanes_at(size_t first, size_t channels) {
    return channels - first < GROUP ? (int)(channels - first) : GROUP;
}

/* The elements around one; beyond an edge the nearest that was coded before. */
typedef struct {
    const uint8_t *left, *above, *corner, *right;
} near_t;

INLINE near_t near_of(const uint8_t *p, size_t x, size_t y, const shape_t *s) {
    const uint8_t *above = y ? p - s->width * s->channels : p - s->channels;
    near_t n = {x ? p - s->channels : above, above, x && y ? above - s->channels : above,
                y && x + 1 < s->width ? above + s->channels : above};
    return n;
}

/* Choose by the neighbours and by the mean of the channel of late, in 1/256 of a step: by what is
 * expected of both, and by how they compare. */
INLINE void by_neighbours(const uint8_t *p, size_t x, size_t y, const shape_t *s,
                          const uint8_t *magnitude, const uint16_t *recent, int lanes,
                          uint8_t *table) {
    uint16_t expected[GROUP];
    uint8_t ratio[GROUP];
    if (x || y) {
        near_t n = near_of(p, x, y, s);
        for (int k = 0; k < lanes; k++) { /* in 16 bits: twice as many at once as in 32 */
            uint16_t mean = recent[k] >> 5;
            uint16_t near = (uint16_t)(3 * n.left[k] + 3 * n.above[k] + n.corner[k] + n.right[k]);
            int16_t a = (int16_t)(near + 4), b = (int16_t)(mean + 4);
            int16_t a2 = (int16_t)(2 * a), a4 = (int16_t)(4 * a), a5 = (int16_t)(5 * a);
            int16_t b2 = (int16_t)(2 * b), b4 = (int16_t)(4 * b), b6 = (int16_t)(6 * b);
            ratio[k] = (uint8_t)((a4 >= b) + (a2 >= b) + (a5 >= b4) + (a5 >= b6) + (a >= b2));
            expected[k] = (uint16_t)(3 * near + mean) >> 2;
        }
    } else {
        for (int k = 0; k < lanes; k++) {
            expected[k] = recent[k] >> 5;
            ratio[k] = RATIOS / 2;
        }
    }
    for (int k = 0; k < lanes; k++) table[k] = (uint8_t)(magnitude[expected[k]] + ratio[k]);
}

INLINE void by_prediction(const uint8_t *p, size_t x, size_t y, const shape_t *s,
                          const chooser_t *c, size_t first, int lanes, uint8_t *table) {
    for (int k = 0; k < lanes; k++) {
        const int32_t *weight = c->weight[first + k];
        int32_t left = x ? p[k - (ptrdiff_t)s->channels] - c->zero : 0;
        int32_t above = y ? p[k - (ptrdiff_t)(s->width * s->channels)] - c->zero : 0;
        int32_t at = (weight[0] * left + weight[1] * above + (128 << 5)) >> 5;
        table[k] = c->predicted[first + k][at < 0 ? 0 : at > 255 ? 255 : at];
    }
}

/* Choose the tables of the channels from `first` on at one place, (lanes,). */
INLINE void choose(const chooser_t *c, const uint8_t *p, size_t x, size_t y, const shape_t *s,
                   size_t first, const uint16_t *recent, int lanes, uint8_t *table) {
    if (c->of_channel) {
        for (int k = 0; k < lanes; k++) table[k] = c->of_channel[first + k];
    } else if (c->magnitude) {
        by_neighbours(p, x, y, s, c->magnitude, recent, lanes, table);
    } else {
        by_prediction(p, x, y, s, c, first, lanes, table);
    }
}

static void begin_group(uint16_t *recent, uint16_t mean) {
    for (int k = 0; k < GROUP; k++) recent[k] = mean;
}

INLINE void follow(uint16_t *recent, const uint8_t *p, int lanes) {
    for (int k = 0; k < lanes; k++)
        recent[k] = (uint16_t)(recent[k] - (recent[k] >> 4) + (p[k] << 4));
}

/* Return the mean that a group begins with after one of `elements` with this `sum`. */
static uint16_t mean_after(uint16_t before, uint64_t sum, size_t elements) {
    return (uint16_t)((3 * (uint32_t)before + (uint32_t)((sum << 8) / elements)) / 4);
}

/* Write the mean that each group of `in` begins with. */
static void group_means(const uint8_t *in, const shape_t *s, uint16_t *means) {
    size_t places = s->height * s->width;
    uint16_t mean = FIRST_MEAN;
    for (size_t first = 0; first < s->channels; first += GROUP) {
        int lanes = lanes_at(first, s->channels);
        const uint8_t *p = in + first;
        uint64_t sum = 0;
        *means++ = mean;
        for (size_t i = 0; i < places; i++, p += s->channels)
            for (int k = 0; k < lanes; k++) sum += p[k];
        mean = mean_after(mean, sum, places * lanes);
    }
}

/* Write the tables of a group, (places, lanes). */
INLINE void group_tables(const uint8_t *in, const shape_t *s, const chooser_t *c, size_t first,
                         uint16_t mean, int lanes, uint8_t *table) {
    uint16_t recent[GROUP];
    const uint8_t *p = in + first;
    begin_group(recent, mean);
    for (size_t y = 0; y < s->height; y++)
        for (size_t x = 0; x < s->width; x++, p += s->channels, table += lanes) {
            choose(c, p, x, y, s, first, recent, lanes, table);
            follow(recent, p, lanes);
        }
}

/* Write the table of each element of `in` into `out`, of the same shape; `work` as in
 * `offload_encode`. */
void offload_tables(const uint8_t *in, size_t channels, size_t height, size_t width,
                    const uint8_t *magnitude, uint16_t *work, uint8_t *out) {
    shape_t s = {channels, height, width};
    chooser_t c = {NULL, magnitude, NULL, NULL, 0};
    size_t places = height * width, groups = (channels + GROUP - 1) / GROUP;
    group_means(in, &s, work);
    for (size_t g = 0; g < groups; g++) {
        size_t first = g * GROUP;
        int lanes = lanes_at(first, channels);
        const uint8_t *table = (uint8_t *)(work + groups);
        group_tables(in, &s, &c, first, work[g], lanes, (uint8_t *)(work + groups));
        for (size_t i = 0; i < places; i++)
            for (int k = 0; k < lanes; k++) out[i * channels + first + k] = *table++;
    }
}

typedef struct {
    uint8_t *next, *least; /* where the stream starts so far, and the start of its room */
    uint32_t state[STATES];
} writer_t;

/* Put a group before the stream; returns whether there is no room. */
INLINE int encode_group(const uint8_t *in, const shape_t *s, const chooser_t *c, const tables_t *t,
                        size_t first, uint16_t mean, int lanes, int states, uint8_t *table,
                        writer_t *w) {
    size_t places = s->height * s->width;
    group_tables(in, s, c, first, mean, lanes, table);
    const uint8_t *p = in + first + places * s->channels;
    uint8_t *next = w->next;
    for (table += places * lanes; places--;) {
        p -= s->channels;
        table -= lanes;
        if (next - w->least < 2 * GROUP) return 1;
        for (int j = (lanes - 1) / states * states; j >= 0; j -= states)
#pragma GCC unroll 8
            for (int i = states - 1; i >= 0; i--)
                if (lanes == GROUP || j + i < lanes) {
                    const uint16_t *start = t->start[table[j + i]] + p[j + i];
                    next = put(&w->state[i], next, start[0], (uint32_t)start[1] - start[0]);
                }
    }
    w->next = next;
    return 0;
}

/* Code `in`, (height, width, channels), to the end of the `room` bytes at `out`; returns how many
 * of them are unused, or `room` if they are too few, which 2 * GROUP more than the stream never
 * are. `work` has 2 bytes for each GROUP of channels and GROUP for each place. */
size_t offload_encode(const uint8_t *in, size_t channels, size_t height, size_t width,
                      const uint8_t *of_channel, const uint8_t *magnitude,
                      const int32_t (*weight)[2], const uint8_t (*predicted)[256], int zero,
                      const uint16_t (*start)[257], uint16_t *work, uint8_t *out, size_t room) {
    shape_t s = {channels, height, width};
    chooser_t c = {of_channel, magnitude, weight, predicted, zero};
    tables_t t = {start, NULL};
    size_t groups = (channels + GROUP - 1) / GROUP;
    uint8_t *table = (uint8_t *)(work + groups);
    writer_t w = {out + room, out, {0}};
    int states = states_for(&s);
    for (int k = 0; k < states; k++) w.state[k] = first_state(states);
    group_means(in, &s, work);
    for (size_t g = groups; g--;) {
        size_t first = g * GROUP;
        int lanes = lanes_at(first, channels), full;
        if (states == 1)
            full = encode_group(in, &s, &c, &t, first, work[g], lanes, 1, table, &w);
        else if (lanes < GROUP)
            full = encode_group(in, &s, &c, &t, first, work[g], lanes, STATES, table, &w);
        else
            full = encode_group(in, &s, &c, &t, first, work[g], GROUP, STATES, table, &w);
        if (full) return room;
    }
    if (w.next - out < 4 * STATES) return room;
    return (size_t)(put_states(w.state, states, w.next) - out);
}

INLINE uint8_t decode_one(uint32_t *state, stream_t *in, const tables_t *t, int table, int ample) {
    uint32_t slot = slot_of(*state);
    const uint16_t *start = t->start[table];
    uint32_t symbol = t->bucket[table][slot >> BUCKET_SHIFT];
    symbol += start[symbol + 1] <= slot; /* one in ten; more is rare enough for a branch */
    while (__builtin_expect(start[symbol + 1] <= slot, 0)) symbol++;
    advance(state, in, start[symbol], (uint32_t)start[symbol + 1] - start[symbol], ample);
    return (uint8_t)symbol;
}

INLINE void decode_group(uint8_t *out, const shape_t *s, const chooser_t *c, const tables_t *t,
                         size_t first, uint16_t *mean, int lanes, int states, uint32_t *state,
                         stream_t *in) {
    uint16_t recent[GROUP];
    uint8_t *p = out + first;
    uint64_t sum = 0;
    begin_group(recent, *mean);
    for (size_t y = 0; y < s->height; y++)
        for (size_t x = 0; x < s->width; x++, p += s->channels) {
            uint8_t table[GROUP];
            choose(c, p, x, y, s, first, recent, lanes, table);
            int ample = in->end - in->next >= 2 * GROUP;
            for (int j = 0; j < lanes; j += states)
#pragma GCC unroll 8
                for (int i = 0; i < states; i++)
                    if (lanes == GROUP || j + i < lanes)
                        p[j + i] = ample ? decode_one(&state[i], in, t, table[j + i], 1)
                                         : decode_one(&state[i], in, t, table[j + i], 0);
            follow(recent, p, lanes);
            for (int k = 0; k < lanes; k++) sum += p[k];
        }
    *mean = mean_after(*mean, sum, s->height * s->width * lanes);
}

/* Decode into `out`, (height, width, channels). Returns 0, or 1 if the `size` bytes at `data` are
 * no such stream. */
int offload_decode(const uint8_t *data, size_t size, uint8_t *out, size_t channels, size_t height,
                   size_t width, const uint8_t *of_channel, const uint8_t *magnitude,
                   const int32_t (*weight)[2], const uint8_t (*predicted)[256], int zero,
                   const uint16_t (*start)[257], const uint8_t (*bucket)[256]) {
    shape_t s = {channels, height, width};
    chooser_t c = {of_channel, magnitude, weight, predicted, zero};
    tables_t t = {start, bucket};
    stream_t in = {data, data + size};
    int states = states_for(&s);
    uint32_t state[STATES];
    uint16_t mean = FIRST_MEAN;
    if (take_states(state, states, &in)) return 1;
    for (size_t first = 0; first < channels; first += GROUP) {
        int lanes = lanes_at(first, channels);
        if (states == 1)
            decode_group(out, &s, &c, &t, first, &mean, lanes, 1, state, &in);
        else if (lanes < GROUP)
            decode_group(out, &s, &c, &t, first, &mean, lanes, STATES, state, &in);
        else
            decode_group(out, &s, &c, &t, first, &mean, GROUP, STATES, state, &in);
    }
    return is_broken(state, states, &in);
}
