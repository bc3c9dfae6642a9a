//! What an operator can ask of the instrument.

/// What an operator can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Let runs open.
    Arm,
    /// Let no run open; the open one goes on.
    Stop,
    /// Blank the participant's page.
    Blank,
    /// Show the participant's page again.
    Unblank,
    /// Put the calibration that waits on the desk in force for the runs to come.
    LoadFrontEnd,
}

impl Command {
    /// The word on the wire.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Arm => "arm",
            Self::Stop => "stop",
            Self::Blank => "blank",
            Self::Unblank => "unblank",
            Self::LoadFrontEnd => "load_front_end",
        }
    }

    /// The command called `key`.
    #[must_use]
    pub fn named(key: &str) -> Option<Self> {
        [Self::Arm, Self::Stop, Self::Blank, Self::Unblank, Self::LoadFrontEnd]
            .into_iter()
            .find(|command| command.key() == key)
    }
}
