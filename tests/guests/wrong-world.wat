;; Exports `classify`, but not as the contract has it. Encoded with wrong-world.wit.
(module
  (memory (export "memory") 1)
  (func (export "classify") (param i32) (result i32) (local.get 0)))
