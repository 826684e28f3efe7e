/* Which replies each packet may have, and what they mean for the session. Of the oracle alone. */
#ifndef TESTS_FUZZ_SESSION_RULES_H
#define TESTS_FUZZ_SESSION_RULES_H

#include "tests/fuzz/session_oracle.h"

/* The session answers this packet now: takes its replies, and follows what it has done. */
void rules_answer(struct oracle *o, const uint8_t *packet, size_t n);

/* Is it an error, in a form that this client reads as one? data: in reply to what is answered by plain data. */
bool rules_is_error(const struct oracle *o, struct packet p, bool data);
/* Is it the reply for the last stop? */
bool rules_is_stop(const struct oracle *o, struct packet p);

#endif
