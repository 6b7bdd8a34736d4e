/* Copyright 2026 offload_perception maintainers. License: Apache-2.0. */
/* The state of range asymmetric numeral systems (Duda 2013, arXiv 1311.2540), and its stream.
 *
 * States have 32 bits and move 16 at a time. The stream starts with the states, little-endian, 4
 * bytes each; each has to end where the encoder started, so that most damage shows. Elements take
 * turns on several states, which the processor runs side by side. Small tensors get by with one;
 * as no other takes words from the stream, it can start at 1 and save the two bytes that STATE_MIN
 * would cost, and leave a last byte of zero out: an odd length tells.
 * Integers only: every machine makes the same stream. Words are moved without a branch: it would
 * be taken at random, and cost more than the rest.
 */
#ifndef OFFLOAD_PERCEPTION__CODEC__RANS_H_
#define OFFLOAD_PERCEPTION__CODEC__RANS_H_

#include <stddef.h>
#include <stdint.h>

enum { PRECISION = 15 };
#ifndef SMALL /* the fuzz target has less: several states with few elements */
#define SMALL 8192
#endif
#define TOTAL ((uint32_t)1 << PRECISION)
#define STATE_MIN ((uint32_t)1 << 16)

typedef struct {
    const uint8_t *next, *end;
} stream_t;

static inline uint32_t first_state(int states) { return states == 1 ? 1 : STATE_MIN; }

/* Put a symbol of `frequency` that starts at `start` before the stream at `p`, where two bytes
 * are free; returns its new start. */
static inline uint8_t *put(uint32_t *state, uint8_t *p, uint32_t start, uint32_t frequency) {
    uint32_t x = *state;
    uint32_t full = x >> (32 - PRECISION) >= frequency;
    p[-1] = (uint8_t)(x >> 8);
    p[-2] = (uint8_t)x;
    p -= 2 * full;
    x >>= 16 * full;
    *state = (x / frequency << PRECISION) + x % frequency + start;
    return p;
}

/* Put the states before the stream at `p`; returns its new start. */
static inline uint8_t *put_states(const uint32_t *state, int states, uint8_t *p) {
    int bytes = states == 1 && state[0] < 1u << 24 ? 3 : 4;
    for (int k = states; k--;)
        for (int i = bytes; i--;) *--p = (uint8_t)(state[k] >> 8 * i);
    return p;
}

/* Take the states from the start of a stream; returns whether it is too short for that. */
static inline int take_states(uint32_t *state, int states, stream_t *in) {
    size_t size = (size_t)(in->end - in->next);
    int bytes = states == 1 && size % 2 ? 3 : 4;
    if (size < (size_t)(bytes * states)) return 1;
    for (int k = 0; k < states; k++, in->next += bytes) {
        state[k] = 0;
        for (int i = bytes; i--;) state[k] = state[k] << 8 | in->next[i];
    }
    return 0;
}

/* Return where the next symbol lies among the frequencies, 0 up to TOTAL. */
static inline uint32_t slot_of(uint32_t state) { return state & (TOTAL - 1); }

/* Take a symbol, found at `slot_of`, from the stream; `ample` says that it has two bytes more. */
static inline void advance(uint32_t *state, stream_t *in, uint32_t start, uint32_t frequency,
                           int ample) {
    uint32_t x = frequency * (*state >> PRECISION) + slot_of(*state) - start;
    if (ample) {
        uint32_t word = in->next[0] | (uint32_t)in->next[1] << 8;
        uint32_t low = (uint32_t)(((uint64_t)x - STATE_MIN) >> 63); /* of `<` a jump is made */
        x = x << 16 * low | (word & -low);
        in->next += 2 * low;
    } else if (x < STATE_MIN && in->end - in->next >= 2) {
        x = x << 16 | in->next[0] | (uint32_t)in->next[1] << 8;
        in->next += 2;
    }
    *state = x;
}

/* Return whether a stream that was decoded did not end as it has to. */
static inline int is_broken(const uint32_t *state, int states, const stream_t *in) {
    for (int k = 0; k < states; k++)
        if (state[k] != first_state(states)) return 1;
    return in->next != in->end;
}

#endif  // OFFLOAD_PERCEPTION__CODEC__RANS_H_
