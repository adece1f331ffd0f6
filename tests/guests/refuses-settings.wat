;; Refuses to be configured.
(module
  (memory (export "memory") 1)
  ;; the description at 16: name, version, summary; nothing read, nothing listed, no schema
  (data (i32.const 16) "\80\00\00\00\10\00\00\00\c0\00\00\00\05\00\00\00\80\00\00\00\10\00\00\00")
  (data (i32.const 128) "refuses-settings")
  (data (i32.const 192) "1.0.0")
  (data (i32.const 640) "no, thank")
  (global $next (mut i32) (i32.const 4096))
  ;; a bump allocator: nothing is ever freed, an instance does not live that long
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
    (global.set $next (i32.add (local.get $at) (local.get 3)))
    (block $fits
      (br_if $fits (i32.le_u (global.get $next) (i32.mul (memory.size) (i32.const 65536))))
      (drop (memory.grow (i32.const 16))))
    (local.get $at))
  (func (export "describe") (result i32) (i32.const 16))
  ;; 96 holds zeros: the result `ok`
  (func (export "configure") (param i32 i32) (result i32) (i32.store (i32.const 96) (i32.const 1)) (i32.store (i32.const 100) (i32.const 640)) (i32.store (i32.const 104) (i32.const 9)) (i32.const 96))
  (func (export "classify") (param i32) (result i32)
    (unreachable)))
