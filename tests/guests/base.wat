;; A well-behaved classifier with a hook, written `;;@name`, in every place where a guest could misbehave. Tests put code there.
(module
  ;;@imports
  (memory (export "memory")
    ;;@pages
    4)
  ;;@parts
  ;; the description at 16: name, version, summary; nothing read, nothing listed, no schema
  (data (i32.const 16) "\80\00\00\00\04\00\00\00\c0\00\00\00\05\00\00\00\80\00\00\00\04\00\00\00")
  (data (i32.const 128) "base")
  (data (i32.const 192) "1.0.0")
  (data (i32.const 512) "TEAM_VERDICT")
  (data (i32.const 576) "the team says so")
  (data (i32.const 640) "a-reason")
  (data (i32.const 704) "steps[1].error.message")
  (global $next (mut i32) (i32.const 65536))
  ;; a bump allocator: nothing is ever freed, an instance does not live that long
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    ;;@realloc
    (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
    (global.set $next (i32.add (local.get $at) (local.get 3)))
    (block $fits
      (br_if $fits (i32.le_u (global.get $next) (i32.mul (memory.size) (i32.const 65536))))
      (drop (memory.grow (i32.const 16))))
    (local.get $at))
  (func (export "describe") (result i32)
    ;;@describe
    (i32.const 16))
  ;; 96 holds zeros: the result `ok`
  (func (export "configure") (param i32 i32) (result i32)
    ;;@configure
    (i32.const 96))
  (func (export "classify") (param i32) (result i32)
    (local $i i32)
    ;; the result at 256: ok, a list of one verdict at 320
    (i32.store (i32.const 260) (i32.const 320))
    (i32.store (i32.const 264) (i32.const 1))
    ;; the verdict: classification, confidence, no reason, no rule, no step, explanation, no evidence, no attributes
    (i32.store (i32.const 320) (i32.const 512))
    (i32.store (i32.const 324) (i32.const 12))
    (f64.store (i32.const 328) (f64.const 0.5))
    (i32.store (i32.const 368) (i32.const 576))
    (i32.store (i32.const 372) (i32.const 16))
    ;;@classify
    (i32.const 256))
  ;; what the host calls when it has read the answer
  (func (export "cabi_post_classify") (param i32)
    ;;@post
    ))
