/* Entropy coder for planes of bytes: static tables, chosen for each element by its neighbours. */
#include "rans.h"

enum { BUCKET_SHIFT = PRECISION - 8, RATIOS = 6 };

/* `start[t]` has 257 cumulative frequencies up to 1 << PRECISION, every symbol's above zero;
 * `bucket[t][i]` is the symbol at frequency i << BUCKET_SHIFT; `bin[v]` is the magnitude class of
 * v eighths of a step. */
typedef struct {
    const uint16_t (*start)[257];
    const uint8_t (*bucket)[256];
    const uint8_t *bin;
} tables_t;

/* What is known of a channel: means in 1/256 of a step, of late and of the channels before. */
typedef struct {
    uint32_t recent, before, sum;
} mean_t;

static void begin_channel(mean_t *mean) {
    mean->recent = mean->before;
    mean->sum = 0;
}

static void end_channel(mean_t *mean, uint32_t plane) {
    uint32_t own = (uint32_t)(((uint64_t)mean->sum << 8) / plane);
    mean->before = (7 * mean->before + own) / 8;
}

static void take(mean_t *mean, uint8_t value) {
    mean->recent += ((uint32_t)value << 4) - (mean->recent >> 4);
    mean->sum += value;
}

/* Return the table for the element at `p`, from its neighbours to the left and above. */
static inline int context(const uint8_t *p, size_t x, size_t y, size_t width, uint32_t recent,
                          const uint8_t *bin) {
    uint32_t mean = recent >> 5, near;
    if (y && x) {
        const uint8_t *up = p - width;
        near = 3 * p[-1] + 3 * up[0] + up[-1] + up[x + 1 < width];
    } else if (y) {
        const uint8_t *up = p - width;
        near = 7 * up[0] + up[width > 1];
    } else {
        near = x ? 8 * (uint32_t)p[-1] : mean;
    }
    uint32_t a = near + 4, b = mean + 4;
    int ratio = (4 * a >= b) + (2 * a >= b) + (5 * a >= 4 * b) + (5 * a >= 6 * b) + (a >= 2 * b);
    return bin[(3 * near + mean) >> 2] * RATIOS + ratio;
}

/* Write the table of each element of `in`, (channels, height, width), into `out`. */
void offload_contexts(const uint8_t *in, size_t channels, size_t height, size_t width,
                      const uint8_t *bin, uint8_t *out) {
    size_t plane = height * width;
    int lanes = lanes_for(channels * plane);
    mean_t mean[MAX_LANES] = {{0, 4096, 0}, {0, 4096, 0}, {0, 4096, 0}, {0, 4096, 0}};
    for (size_t c = 0; c < channels; c++) {
        mean_t *m = &mean[c % lanes];
        begin_channel(m);
        for (size_t y = 0; y < height; y++)
            for (size_t x = 0; x < width; x++, in++) {
                *out++ = (uint8_t)context(in, x, y, width, m->recent, bin);
                take(m, *in);
            }
        end_channel(m, (uint32_t)plane);
    }
}

/* Code `in` with the table of each element; `table` has one for each element, or, where
 * `by_channel`, for each channel. Writes to the end of `out`, which has 2 bytes for each element
 * and 16 more, and returns how many bytes of it are unused. */
size_t offload_encode(const uint8_t *in, size_t channels, size_t plane, const uint8_t *table,
                      int by_channel, const uint16_t (*start)[257], uint8_t *out) {
    int lanes = lanes_for(channels * plane);
    uint8_t *p = out + 2 * channels * plane + 16;
    uint32_t state[MAX_LANES];
    for (int lane = 0; lane < lanes; lane++) state[lane] = first_state(lanes);
    size_t first = channels - (channels ? (channels - 1) % lanes + 1 : 0);
    for (size_t rest = channels; rest; rest = first, first -= lanes) {
        for (size_t i = plane; i--;)
            for (size_t c = rest; c-- > first;) {
                size_t at = c * plane + i;
                const uint16_t *s = start[table[by_channel ? c : at]] + in[at];
                p = put(&state[c - first], p, s[0], (uint32_t)s[1] - s[0]);
            }
        if (!first) break;
    }
    return (size_t)(put_states(state, lanes, p) - out);
}

static inline uint8_t decode_one(uint32_t *state, stream_t *in, const tables_t *t, int table) {
    uint32_t slot = slot_of(*state);
    const uint16_t *start = t->start[table];
    uint32_t symbol = t->bucket[table][slot >> BUCKET_SHIFT];
    while (start[symbol + 1] <= slot) symbol++;
    advance(state, in, start[symbol], (uint32_t)start[symbol + 1] - start[symbol]);
    return (uint8_t)symbol;
}

/* Decode a group of channels; the compiler unrolls where `lanes` is a constant. */
static inline void decode_group(uint8_t *out, size_t height, size_t width, const tables_t *t,
                                const uint8_t *table, mean_t *mean, uint32_t *state,
                                stream_t *in, int lanes) {
    size_t plane = height * width;
    for (int k = 0; k < lanes; k++) begin_channel(&mean[k]);
    for (size_t y = 0; y < height; y++)
        for (size_t x = 0; x < width; x++, out++)
            for (int k = 0; k < lanes; k++) {
                uint8_t *p = out + k * plane;
                int which = table ? table[k] : context(p, x, y, width, mean[k].recent, t->bin);
                *p = decode_one(&state[k], in, t, which);
                take(&mean[k], *p);
            }
    for (int k = 0; k < lanes; k++) end_channel(&mean[k], (uint32_t)plane);
}

/* Decode into `out`, (channels, height, width); `table` has one for each channel, or is NULL where
 * the neighbours choose. Returns 0, or 1 where the `size` bytes at `data` are no such stream. */
int offload_decode(const uint8_t *data, size_t size, uint8_t *out, size_t channels, size_t height,
                   size_t width, const uint8_t *table, const uint16_t (*start)[257],
                   const uint8_t (*bucket)[256], const uint8_t *bin) {
    size_t plane = height * width;
    int lanes = lanes_for(channels * plane);
    tables_t t = {start, bucket, bin};
    stream_t in = {data, data + size};
    mean_t mean[MAX_LANES] = {{0, 4096, 0}, {0, 4096, 0}, {0, 4096, 0}, {0, 4096, 0}};
    uint32_t state[MAX_LANES];
    if (take_states(state, lanes, &in)) return 1;
    for (size_t c = 0; c < channels; c += lanes) {
        const uint8_t *of_group = table ? table + c : NULL;
        int left = channels - c < (size_t)lanes ? (int)(channels - c) : lanes;
        if (left == MAX_LANES)
            decode_group(out + c * plane, height, width, &t, of_group, mean, state, &in, MAX_LANES);
        else
            decode_group(out + c * plane, height, width, &t, of_group, mean, state, &in, left);
    }
    return is_broken(state, lanes, &in);
}

/* Return the table for the element at `p`, from a prediction of its level: `weight` has those of
 * the neighbours to the left and above, in 1/256, and `row` the table for each eighth of a level
 * from 16 below `zero` to 16 above it. */
static inline uint8_t predicted_row(const uint8_t *p, size_t x, size_t y, size_t width, int zero,
                                    const int32_t *weight, const uint8_t *row) {
    int32_t left = x ? p[-1] - zero : 0, above = y ? *(p - width) - zero : 0;
    int32_t at = weight[0] * left + weight[1] * above + (128 << 5);
    return row[at < 0 ? 0 : at >> 5 > 255 ? 255 : at >> 5];
}

/* Write the table of each element of `in`, (channels, height, width), into `out`; `weight` has two
 * numbers for each channel, of at most 2^15 each, and `row` 256. */
void offload_predicted_rows(const uint8_t *in, size_t channels, size_t height, size_t width,
                            int zero, const int32_t (*weight)[2], const uint8_t (*row)[256],
                            uint8_t *out) {
    for (size_t c = 0; c < channels; c++)
        for (size_t y = 0; y < height; y++)
            for (size_t x = 0; x < width; x++, in++)
                *out++ = predicted_row(in, x, y, width, zero, weight[c], row[c]);
}

/* Decode into `out`, (channels, height, width), what was coded with the tables that
 * `offload_predicted_rows` gives. Returns as `offload_decode`. */
int offload_decode_predicted(const uint8_t *data, size_t size, uint8_t *out, size_t channels,
                             size_t height, size_t width, int zero, const int32_t (*weight)[2],
                             const uint8_t (*row)[256], const uint16_t (*start)[257],
                             const uint8_t (*bucket)[256]) {
    size_t plane = height * width;
    int lanes = lanes_for(channels * plane);
    tables_t t = {start, bucket, NULL};
    stream_t in = {data, data + size};
    uint32_t state[MAX_LANES];
    if (take_states(state, lanes, &in)) return 1;
    for (size_t first = 0; first < channels; first += lanes) {
        size_t stop = channels - first < (size_t)lanes ? channels : first + lanes;
        for (size_t y = 0; y < height; y++)
            for (size_t x = 0; x < width; x++)
                for (size_t c = first; c < stop; c++) {
                    uint8_t *p = out + c * plane + y * width + x;
                    uint8_t which = predicted_row(p, x, y, width, zero, weight[c], row[c]);
                    *p = decode_one(&state[c - first], &in, &t, which);
                }
    }
    return is_broken(state, lanes, &in);
}
