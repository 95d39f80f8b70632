// The configuration that `tailrace init` writes where there is none: nothing happens to the events until somebody
// decides (seed 001, step 2).

/** Text of the initial configuration file: leave everything in the queue. */
export const INITIAL_CONFIG = `{
  "configuration_mode": "json",
  "use_json_for_http_post": true,
  "event_destinations": [
    {
      "matches": { "all": true },
      "destination": { "type": "leave_in_queue" }
    }
  ]
}
`;
