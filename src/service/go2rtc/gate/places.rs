//! How many connections there may be at once.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// All together, each two threads and two sockets. Whoever comes then is turned away.
const MOST: usize = 1024;
/// From one address, so that nobody keeps all others out. A page with every stream takes one for each.
const MOST_OF_ONE: usize = 256;

/// How many each address has.
#[derive(Debug, Default)]
pub struct Places(Mutex<HashMap<IpAddr, usize>>);

/// One connection, for as long as it lasts.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    of: IpAddr,
}

impl Places {
    /// A place for somebody at `of`; `None` where all are taken.
    pub fn take(this: &Arc<Self>, of: IpAddr) -> Option<Place> {
        let of = of.to_canonical();
        let mut places = this.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = places.values().sum();
        let own = places.get(&of).copied().unwrap_or(0);
        (all < MOST && own < MOST_OF_ONE).then(|| {
            places.insert(of, own + 1);
            Place { places: Arc::clone(this), of }
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        match places.get_mut(&self.of) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(places.remove(&self.of)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_all_places() {
        let places = Arc::new(Places::default());
        let address = |last: u16| IpAddr::from([192, 0, 2, last as u8]);
        let mut taken: Vec<_> = (0..MOST_OF_ONE).map(|_| Places::take(&places, address(1)).unwrap()).collect();
        assert!(Places::take(&places, address(1)).is_none());
        assert!(Places::take(&places, "::ffff:192.0.2.1".parse().unwrap()).is_none());
        taken.extend((0..MOST - MOST_OF_ONE).map(|at| Places::take(&places, address(2 + at as u16 % 9)).unwrap()));
        assert!(Places::take(&places, address(200)).is_none());
        taken.clear();
        assert!(places.0.lock().unwrap().is_empty());
    }
}
