//! svd: what is stored, printed and refused.

use crate::run::{coads, json, names, refuse, succeed, write_npy};
use serde_json::json;

#[test]
fn a_matrix_is_its_factors() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    // The numbers from 0: of rank 2.
    write_npy(&at.join("a.npy"), &[200, 100]);
    for (options, passes) in [(&["--exact"][..], 2), (&["--power-iter", "1"], 3)] {
        let mut arguments = vec!["svd", "a.npy", "-k", "2", "-o", "svd.zarr", "--overwrite"];
        arguments.extend(options);
        let object = json(at, &arguments);
        assert_eq!(object["passes"], passes);
        let s: Vec<f64> = serde_json::from_value(object["singular_values"].clone()).unwrap();
        let squares: f64 = (0..20_000_u32).map(|n| f64::from(n) * f64::from(n)).sum();
        assert!((s[0] * s[0] + s[1] * s[1] - squares).abs() < 1e-9 * squares, "{s:?}");
        assert!(object["relative_error"].as_f64().unwrap() < 1e-6);
        let product = "((u[:, :, None] * s[:, None]) * v).sum(1) - x";
        let inputs = ["u=svd.zarr::U", "s=svd.zarr::S", "v=svd.zarr::V", "x=a.npy"];
        let mut arguments = vec!["eval", "abs(d).max()"];
        let whole = format!("abs({product}).max()");
        arguments[1] = &whole;
        inputs.iter().for_each(|input| arguments.extend(["-i", input]));
        let left: f64 = succeed(at, &arguments).trim().parse().unwrap();
        assert!(left < 1e-7, "{left}");
    }
    let text = succeed(at, &["svd", "a.npy", "-k", "1", "-o", "plain"]);
    assert!(text.contains("singular values: 1632") && text.contains("2 passes"), "{text}");
    assert_eq!(names(at), ["a.npy", "plain", "svd.zarr"]);
}

#[test]
fn fields_keep_their_coordinates() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let winds = coads();
    let filled = format!("x={}::UWND", winds.display());
    succeed(at, &["eval", "where(isnan(x), 0, x)", "-i", &filled, "-o", "u.zarr"]);
    let source = "u.zarr";
    let object = json(at, &["svd", source, "-k", "3", "--center", "--exact", "-o", "eof.zarr"]);
    assert_eq!(object["passes"], 3);
    let shape_of = |name: &str| json(at, &["info", &format!("eof.zarr::{name}")]);
    assert_eq!(shape_of("V")["shape"], json!([3, 90, 180]));
    assert_eq!(shape_of("V")["dimensions"], json!(["mode", "COADSY", "COADSX"]));
    assert_eq!(shape_of("U")["dimensions"], json!(["TIME", "mode"]));
    assert_eq!(shape_of("mean")["shape"], json!([90, 180]));
    assert_eq!(shape_of("S")["attributes"]["long_name"], "singular values");
    // The mean is off: no column of U has one.
    let mean = "abs(u.mean(0)).max()";
    let left: f64 = succeed(at, &["eval", mean, "-i", "u=eof.zarr::U"]).trim().parse().unwrap();
    assert!(left < 1e-6, "{left}");
}

#[test]
fn what_cannot_be_decomposed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_npy(&at.join("a.npy"), &[200, 100]);
    write_npy(&at.join("b.npy"), &[200]);
    assert!(refuse(at, &["svd", "a.npy", "-k", "101", "-o", "o.zarr"], 2).contains("-k 1 to 100"));
    refuse(at, &["svd", "a.npy", "-k", "0", "-o", "o.zarr"], 2);
    refuse(at, &["svd", "b.npy", "-k", "1", "-o", "o.zarr"], 2);
    refuse(at, &["svd", "a.npy", "-k", "1", "-o", "o.npy"], 2);
    refuse(at, &["svd", "a.npy", "-k", "1", "--exact", "--tol", "0.1", "-o", "o.zarr"], 2);
    assert!(
        refuse(at, &["svd", "a.npy", "-k", "1", "--memory", "1MiB", "-o", "o.zarr"], 3).contains("--memory")
    );
    let missing = format!("{}::SST", coads().display());
    let message = refuse(at, &["svd", &missing, "-k", "2", "-o", "o.zarr"], 4);
    assert!(message.contains("NaN") && message.contains("row"), "{message}");
    assert_eq!(names(at).iter().filter(|name| *name == "o.zarr").count(), 0);
    assert!(
        succeed(at, &["svd", "a.npy", "-k", "2", "-o", "o.zarr", "--dry-run"]).contains("Aᴴ times a basis")
    );
}
