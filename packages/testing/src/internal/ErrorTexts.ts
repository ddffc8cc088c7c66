/**
 * What Kafka says of an error code where it has no reason of its own to tell.
 *
 * @since 0.1.0
 */

/** Of no error, where a version has a text for it all the same. @internal */
export const none = "NONE"

/** @internal */
export const invalidRequest =
  "This most likely occurs because of a request being malformed by the client library or the message was sent to an incompatible broker. See the broker logs for more details."
