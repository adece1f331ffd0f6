;; Asks for a clock. Encoded with wasi.wit.
(module
  (import "wasi:clocks/monotonic-clock@0.2.0" "now" (func $now (result i64)))
  (memory (export "memory") 1)
  (func (export "run") (drop (call $now))))
