//! One classifier and the box it runs in: fresh or warm instances, each with its memory cap and deadline. Every way in which a
//! guest can fail leaves here as an abstention.

use super::bindings::{self, Classifier, ClassifierPre, host, wit};
use super::check::{self, Room};
use super::engine::{Engine, ticks};
use super::snapshot::Prepared;
use crate::config::{Grants, Isolation, Plugins};
use crate::model::{Abstention, Trace, Verdict, printable};
use std::sync::Mutex;
use std::time::Duration;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{ResourceLimiter, Store, Trap};

/// The interface of the contract that holds only types; it grants nothing.
const TYPES: &str = "tracejury:classifier/types@0.1.0";
/// The one interface a classifier may import.
const HOST: &str = "tracejury:classifier/host@0.1.0";
/// The most elements a guest's tables may have, all of one instance together.
const TABLE_ELEMENTS: usize = 100_000;
/// The most core instances, memories and tables of one component.
const PARTS: usize = 64;

/// What a component imports beyond the contract.
pub(super) fn unwanted_imports(engine: &Engine, component: &Component) -> Vec<String> {
    let ty = component.component_type();
    let imports = ty.imports(&engine.wasm);
    let wanted = |name: &str, item: &ComponentItem| matches!(item, ComponentItem::ComponentInstance(_) if name == HOST || name == TYPES);
    imports.filter(|(name, import)| !wanted(name, &import.ty)).map(|(name, _)| printable(name)).collect()
}

/// A classifier ready to be called.
pub(super) struct Sandbox {
    engine: wasmtime::Engine,
    pre: ClassifierPre<Guest>,
    isolation: Isolation,
    /// Whether instances start configured, being made from a snapshot.
    configured: bool,
    limits: Limits,
    idle: Mutex<Vec<Instance>>,
}

#[derive(Debug, Clone)]
struct Limits {
    name: String,
    deadline: Duration,
    load_deadline: Duration,
    memory: usize,
    room: Room,
    log_lines: usize,
}

/// What the host keeps about one instance.
pub(super) struct Guest {
    name: String,
    memory: usize,
    wanted_too_much: bool,
    table_elements: usize,
    log_lines: usize,
    text_bytes: usize,
}

struct Instance {
    store: Store<Guest>,
    classifier: Classifier,
}

impl Sandbox {
    /// Links a component; its world is checked here, and no guest code runs yet.
    pub(super) fn new(engine: &Engine, prepared: &Prepared, settings: &Plugins, name: &str) -> wasmtime::Result<Self> {
        let mut linker = Linker::new(&engine.wasm);
        Classifier::add_to_linker::<_, HasSelf<_>>(&mut linker, |guest| guest)?;
        let pre = ClassifierPre::new(linker.instantiate_pre(&prepared.component)?)?;
        let limits = Limits {
            name: name.to_owned(),
            deadline: settings.deadline.duration(),
            load_deadline: settings.load_deadline.duration(),
            memory: settings.memory_mib.mib(),
            room: Room { verdicts: settings.max_verdicts.get(), text_bytes: settings.max_text_bytes.get(), grants: Grants::new() },
            log_lines: settings.max_log_lines.get(),
        };
        Ok(Self {
            engine: engine.wasm.clone(),
            pre,
            isolation: settings.isolation,
            configured: prepared.configured,
            limits,
            idle: Mutex::default(),
        })
    }

    /// Whether instances are made from a snapshot.
    pub(super) fn starts_configured(&self) -> bool {
        self.configured
    }

    /// Lets the classifier see more than errors. Without this it is sealed.
    pub(super) fn grant(&mut self, grants: Grants) {
        self.limits.room.grants = grants;
    }

    /// Asks the classifier who it is and hands it its settings once, so that one that cannot be configured is refused on loading.
    pub(super) fn describe(&self) -> Result<wit::Description, Abstention> {
        let deadline = self.limits.load_deadline;
        let mut instance = self.instance(deadline)?;
        let described = instance.classifier.call_describe(&mut instance.store);
        self.sorted(&instance.store, deadline, described)
    }

    /// A configured instance to take a snapshot of, and its store.
    pub(super) fn to_capture(&self) -> Result<(Store<Guest>, wasmtime::component::Instance), Abstention> {
        let deadline = self.limits.load_deadline;
        let mut store = self.store(deadline);
        let raw = self.pre.instance_pre().instantiate(&mut store);
        let raw = self.sorted(&store, deadline, raw)?;
        let classifier = Classifier::new(&mut store, &raw);
        let classifier = self.sorted(&store, deadline, classifier)?;
        self.configure(&mut store, &classifier, deadline)?;
        // What is read for the snapshot is the whole memory, once, and by code of ours: the guest's time is not spent on it.
        store.set_epoch_deadline(ticks(deadline));
        store.set_hostcall_fuel(self.limits.memory.saturating_mul(2));
        Ok((store, raw))
    }

    /// The classifier's opinions on one trace.
    pub(super) fn classify(&self, trace: &Trace) -> Result<Vec<Verdict>, Abstention> {
        let deadline = self.limits.deadline;
        let mut instance = match self.idle() {
            Some(mut warm) => {
                warm.store.set_epoch_deadline(ticks(deadline));
                warm.store.data_mut().log_lines = self.limits.log_lines;
                warm
            }
            None => self.instance(deadline)?,
        };
        let answer = instance.classifier.call_classify(&mut instance.store, &bindings::lower(trace, &self.limits.room.grants));
        let answer = self.sorted(&instance.store, deadline, answer)?;
        // Only an instance that answered comes back: after a trap a store is dead.
        self.keep(instance);
        let verdicts = answer.map_err(declined)?;
        check::verdicts(verdicts, trace, &self.limits.room)
    }

    /// A fresh instance, configured, with `deadline` for all that follows.
    fn instance(&self, deadline: Duration) -> Result<Instance, Abstention> {
        let mut store = self.store(deadline);
        let classifier = self.pre.instantiate(&mut store);
        let classifier = self.sorted(&store, deadline, classifier)?;
        if !self.configured {
            self.configure(&mut store, &classifier, deadline)?;
        }
        Ok(Instance { store, classifier })
    }

    fn store(&self, deadline: Duration) -> Store<Guest> {
        let guest = Guest {
            name: self.limits.name.clone(),
            memory: self.limits.memory,
            wanted_too_much: false,
            table_elements: TABLE_ELEMENTS,
            log_lines: self.limits.log_lines,
            text_bytes: self.limits.room.text_bytes,
        };
        let mut store = Store::new(&self.engine, guest);
        store.limiter(|guest| guest);
        store.set_epoch_deadline(ticks(deadline));
        // What one call may make the host copy; the default of 128 MiB would let a guest with little memory make much work.
        store.set_hostcall_fuel(self.limits.memory);
        store
    }

    fn configure(&self, store: &mut Store<Guest>, classifier: &Classifier, deadline: Duration) -> Result<(), Abstention> {
        let done = classifier.call_configure(&mut *store, "");
        let done = self.sorted(store, deadline, done)?;
        done.map_err(declined)
    }

    fn idle(&self) -> Option<Instance> {
        // A panic while the lock was held cannot have left the list half-changed.
        self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop()
    }

    fn keep(&self, instance: Instance) {
        if self.isolation == Isolation::Warm {
            self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(instance);
        }
    }

    /// The result of a call into the guest, with whatever went wrong told by what stopped it, never by its text.
    fn sorted<T>(&self, store: &Store<Guest>, deadline: Duration, result: wasmtime::Result<T>) -> Result<T, Abstention> {
        result.map_err(|error| match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) => Abstention::Deadline(u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX)),
            _ if store.data().wanted_too_much => Abstention::Memory(self.limits.memory),
            Some(trap) => Abstention::Trapped(trap.to_string()),
            None => Abstention::Trapped(printable(&error.root_cause().to_string().chars().take(200).collect::<String>())),
        })
    }
}

/// What a guest says for itself, cut to a length that can be read.
fn declined(why: String) -> Abstention {
    Abstention::Declined(printable(&why.chars().take(200).collect::<String>()))
}

impl ResourceLimiter for Guest {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        // The cap is on all memories of the instance together: what this one adds is taken from what is left.
        let more = desired.saturating_sub(current);
        match self.memory.checked_sub(more) {
            Some(left) => {
                self.memory = left;
                Ok(true)
            }
            None => {
                self.wanted_too_much = true;
                Ok(false)
            }
        }
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let left = self.table_elements.checked_sub(desired.saturating_sub(current));
        self.table_elements = left.unwrap_or(self.table_elements);
        Ok(left.is_some())
    }

    fn instances(&self) -> usize {
        PARTS
    }

    fn tables(&self) -> usize {
        PARTS
    }

    fn memories(&self) -> usize {
        PARTS
    }
}

impl wit::Host for Guest {}

impl host::Host for Guest {
    fn log(&mut self, level: host::Level, message: String) {
        let Some(left) = self.log_lines.checked_sub(1) else { return };
        self.log_lines = left;
        let end = message.floor_char_boundary(self.text_bytes);
        let text = printable(message.get(..end).unwrap_or_default());
        let name = &self.name;
        // Whatever level the guest gives it: its lines may quote the trace, and with it the input, so that they are shown only
        // to someone who asks for details.
        tracing::debug!("{name}: {level:?}: {text}");
    }
}
