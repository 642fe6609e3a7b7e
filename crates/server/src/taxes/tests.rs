//! Tables of the shapes that are about, written by hand, and the real ones when they are there.

use super::*;
use app::TimeZone;
use domain::pricing::PostalRange;
use domain::time::Timestamp;

fn read(wanted: &Wanted, text: &str) -> Table {
    let zone = TimeZone::get("Europe/Berlin").expect("a zone");
    Reader { wanted, zone }.read(text.as_bytes(), "table").unwrap_or_else(|e| panic!("{e}"))
}

/// A rate in a line: id without digest, percent in ppm, formats, inside, shipping taxed, window in seconds, source.
fn shown(rate: &TaxRate) -> String {
    let formats: Vec<_> = rate.formats.iter().map(|f| f.as_str()).collect();
    let marks = [(rate.included, "inside"), (rate.shipping_taxed, "shipping")].into_iter().filter(|(is, _)| *is).map(|(_, mark)| mark);
    let seconds = |at: Option<Timestamp>| at.map_or(String::new(), |at| (at.micros() / 1_000_000).to_string());
    let window = match rate.window {
        Window { from: None, to: None } => String::new(),
        Window { from, to } => format!(" {}..{}", seconds(from), seconds(to)),
    };
    let name = Rule::tax(rate.clone()).key().id;
    let source = rate.source.as_ref().map_or("", |s| s.as_str());
    let marks: Vec<_> = marks.collect();
    format!("{name} {} [{}] {}{window} ({source})", rate.rate.0, formats.join("+"), marks.join("+"))
}

#[track_caller]
fn check(wanted: &Wanted, text: &str, rates: &[&str], bad: &[&str]) {
    let table = read(wanted, text);
    let found: Vec<_> = table.rates.iter().map(|(_, rate)| shown(rate)).collect();
    assert_eq!(found, rates);
    assert_eq!(table.bad, bad);
}

fn books(rates: &[&str]) -> Wanted {
    Wanted { books: rates.iter().map(|r| r.parse().expect("a rate")).collect(), ..Wanted::default() }
}

const EUROPE: &str = r#"{ "version": "2026-09-29", "source": "Commission", "publisher": { "name": "somebody" }, "rates": {
    "AD": { "vat_name": "IGI", "standard": 4.5, "reduced": [1.0, 2.5], "super_reduced": null, "parking": null },
    "BA": { "vat_name": "PDV", "standard": 17.0, "reduced": [], "super_reduced": null, "parking": null },
    "DE": { "vat_name": "Umsatzsteuer", "standard": 19.0, "reduced": [7.0], "super_reduced": null, "parking": null },
    "XX1": { "vat_name": "None", "standard": 19.0, "reduced": [] } } }"#;

#[test]
fn european_rates_are_those_of_all_goods_unless_told_what_books_have() {
    let from = "(Commission, as of 2026-09-29)";
    let (ad, ba, de) = (
        format!("AD-VAT 45000 [] inside+shipping {from}"),
        format!("BA-VAT 170000 [] inside+shipping {from}"),
        format!("DE-VAT 190000 [] inside+shipping {from}"),
    );
    let paper = |place: &str, ppm: u32| format!("{place}-VAT {ppm} [hardcover+paperback] inside+shipping {from}");
    let none = "XX1: `XX1` is not a country";
    check(&Wanted::default(), EUROPE, &[&ad, &ba, &de], &[none]);
    let several = "AD: several reduced rates (1 %, 2.5 %): which one books have is for --books-rate AD=PPM to say";
    check(&books(&["reduced"]), EUROPE, &[&ba, &paper("DE", 70_000), &de], &[several, none]);
    check(&books(&["reduced", "AD=10000"]), EUROPE, &[&paper("AD", 10_000), &ad, &ba, &paper("DE", 70_000), &de], &[none]);
    let unused = "FR=55000: no rate of books depends on it in this table";
    check(&books(&["standard", "FR=55000"]), EUROPE, &[&ad, &ba, &de], &[none, unused]);
    let digital = Wanted {
        ebooks: vec!["DE=70000".parse().expect("a rate")],
        source: Some("Us".into()),
        as_of: Some("2026-10-01".into()),
        ..Wanted::default()
    };
    let table = read(&digital, EUROPE);
    assert_eq!(shown(&table.rates[2].1), "DE-VAT 70000 [ebook+audiobook] inside+shipping (Us, as of 2026-10-01)");
}

#[test]
fn basis_points_are_read_exactly() {
    let csv = "country,currency,eu_member,standard_bp,reduced_bp,super_reduced_bp,parking_bp\nAD,EUR,0,450,100;250,,\nFI,EUR,1,2550,1350,,\nSE,SEK,1,25.5.0,,,\nDK,DKK,1\n";
    let bad = [
        "line 4: `25.5.0` is not a rate",
        "line 5: CSV error: record 4 (line: 5, byte: 115): found record with 3 fields, but the previous record has 7 fields",
    ];
    let table = read(&books(&["reduced", "AD=25000"]), csv);
    let rates: Vec<_> = table.rates.iter().map(|(row, rate)| format!("{row} {}", rate.rate.0)).collect();
    assert_eq!(rates, ["line 2 25000", "line 2 45000", "line 3 135000", "line 3 255000"]);
    assert_eq!(table.bad[0], bad[0]);
    assert!(table.bad.len() == 2 && table.bad[1].starts_with("line 5: "), "{:?}", table.bad);
}

#[test]
fn states_and_provinces_have_taxes_on_top() {
    let us = "state,state_rate_ppm\nCA,82500\nMO,42250\nXX,much\n";
    check(&Wanted::default(), us, &["US-CA-SALES 82500 []  (table)", "US-MO-SALES 42250 []  (table)"], &["line 4: `much` is not a rate"]);
    let ca = "province,federal_gst_ppm,provincial_ppm,kind\nQC,50000,99750,qst\nON,50000,80000,hst\n";
    let rates =
        ["CA-QC-GST 50000 []  (table)", "CA-QC-QST 99750 []  (table)", "CA-ON-GST 50000 []  (table)", "CA-ON-HST 80000 []  (table)"];
    check(&Wanted::default(), ca, &rates, &[]);
    let wanted = Wanted { included: Some(true), shipping_taxed: Some(true), ..Wanted::default() };
    check(&wanted, "state,state_rate_ppm\nCA,82500\n", &["US-CA-SALES 82500 [] inside+shipping (table)"], &[]);
}

#[test]
fn rates_of_the_world_have_the_days_they_changed() {
    let json = r#"{ "AE": { "type": "vat", "currency": "AED", "rate": 0.05 }, "HK": { "type": "none", "rate": 0 },
        "SG": { "type": "gst", "currency": "SGD", "rate": 0.09, "before": {
            "2023-12-31T22:00:00.000Z": { "type": "gst", "rate": 0.08 }, "2022-12-31T22:00:00.000Z": { "type": "gst", "rate": 0.07 } } },
        "CA": { "type": "gst", "rate": 0.05, "states": { "QC": { "type": "qst", "rate": 0.09975 },
            "NS": { "type": "hst", "rate": 0.09, "before": { "yesterday": { "rate": 0.1 } } } } },
        "US": { "type": "none", "rate": 0, "states": { "MN": { "type": "vat", "rate": 0.06875 } } } }"#;
    check(
        &Wanted::default(),
        json,
        &[
            "AE-VAT 50000 [] inside+shipping (table)",
            "SG-GST 70000 [] inside+shipping ..1672524000 (table)",
            "SG-GST 80000 [] inside+shipping 1672524000..1704060000 (table)",
            "SG-GST 90000 [] inside+shipping 1704060000.. (table)",
            "US-MN-SALES 68750 []  (table)",
        ],
        &["CA: `yesterday` is not an instant"],
    );
    let unknown = "AE: no reduced rate in this table: --books-rate AE=PPM says it";
    assert_eq!(read(&books(&["reduced"]), json).bad[0], unknown);
    assert_eq!(shown(&read(&books(&["AE=0"]), json).rates[0].1), "AE-VAT 0 [hardcover+paperback] inside+shipping (table)");
}

#[test]
fn a_table_of_ones_own_says_everything() {
    let csv = "tax,country,region,city,postal_from,postal_to,label,rate_ppm,formats,included,shipping_taxed,rounding,level,valid_from,valid_to,source\n\
        SALES,US,ca,San Francisco,94105,94110,District,13750,paperback;ebook,false,true,half_up,total,2025-07-01,2026-01-01T00:00:00Z,A law\n\
        VAT,DE,,,,,Mehrwertsteuer,70000,,,,,,,,\n\
        VAT,de,,,,,Steuer,1,,,,,,,,\n\
        VAT,DE,,,2,10,Steuer,1,,,,,,,,\n\
        VAT,DE,,,,,Steuer,1000001,,,,,,,,\n\
        VAT,DE,,,,,Steuer,1,scroll,,,,,,,\n\
        VAT,DE,,,,,Steuer,1,,yes,,,,,,\n\
        VAT,DE,,,,,Steuer,1,,,,up,,,,\n\
        VAT,DE,,,,,,1,,,,,,,,\n\
        V A T,DE,,,,,Steuer,1,,,,,,,,\n\
        VAT,DE,,,,,Steuer,1,,,,,,soon,,\n";
    check(
        &Wanted::default(),
        csv,
        &["US-CA-SALES 13750 [paperback+ebook] shipping 1751320800..1767225600 (A law)", "DE-VAT 70000 [] inside+shipping (table)"],
        &[
            "line 4: country: two capital letters",
            "line 5: postal_from, postal_to: of one length, and in order",
            "line 6: `1000001` is not a rate",
            "line 7: formats: `scroll` is none",
            "line 8: included: `yes` is none of true, false",
            "line 9: rounding: `up` is none of half_even, half_up, down",
            "line 10: the label is empty or too long",
            "line 11: `V A T` is not the name of a tax",
            "line 12: valid_from: `soon` is no day",
        ],
    );
    let first = &read(&Wanted::default(), csv).rates[0].1;
    assert_eq!(first.place.city.as_ref().map(|c| c.as_str()), Some("San Francisco"));
    assert_eq!((first.rounding, first.level), (domain::money::Rounding::HalfUp, domain::pricing::Level::Total));
}

#[test]
fn what_is_no_table_is_said_to_be_none() {
    let zone = TimeZone::UTC;
    for text in ["", "a,b\n1,2\n", "{}x", "[]", r#"{ "DE": 19 }"#] {
        let error = Reader { wanted: &Wanted::default(), zone: zone.clone() }.read(text.as_bytes(), "table").expect_err(text);
        assert!(error.contains("not a table of taxes"), "{text}: {error}");
    }
}

fn rate(tax: &str, country: &str) -> TaxRate {
    let place = Place::country(Country::parse(country).expect("a country"));
    TaxRate::of(TaxName::parse(tax).expect("a name"), place, Text::parse("Tax").expect("a label"), Ppm(1))
}

#[test]
fn an_id_follows_from_tax_place_formats_and_beginning() {
    let place = |region: &str, city: &str, postal: Option<(&str, &str)>| Place {
        region: Text::parse(region),
        city: Text::parse(city),
        postal: postal.and_then(|(from, to)| PostalRange::new(from, to)),
        ..rate("VAT", "US").place
    };
    let since = |seconds: i64| Window { from: Some(Timestamp(seconds)), to: None };
    let long = "R".repeat(50);
    let different = [
        rate("VAT", "US"),
        rate("GST", "US"),
        rate("VAT", "DE"),
        TaxRate { place: place("CA", "", None), ..rate("VAT", "US") },
        TaxRate { place: place("CA", "Oakland", None), ..rate("VAT", "US") },
        TaxRate { place: place("CA", "", Some(("94105", "94110"))), ..rate("VAT", "US") },
        TaxRate { place: place("CA", "", Some(("94105", "94111"))), ..rate("VAT", "US") },
        TaxRate { formats: vec![Format::Ebook], ..rate("VAT", "US") },
        TaxRate { formats: vec![Format::Ebook, Format::Audiobook], ..rate("VAT", "US") },
        TaxRate { window: since(1), ..rate("VAT", "US") },
        TaxRate { window: since(2), ..rate("VAT", "US") },
        TaxRate { place: place(&long, "", None), ..rate("SALES-TAX-OF-THE-STATE", "US") },
        TaxRate { place: place(&long, "", None), ..rate("SALES-TAX-OF-THE-STREET", "US") },
    ];
    let ids: Vec<_> = different.iter().map(id).collect();
    for (n, one) in ids.iter().enumerate() {
        assert!(!ids[..n].contains(one), "{one} twice");
    }
    assert_eq!(ids[3].as_str(), "US-CA-VAT");
    let same = [
        (TaxRate { rate: Ppm(2), label: Text::parse("Other").expect("a label"), included: true, ..rate("VAT", "US") }, 0),
        (TaxRate { window: Window { from: None, to: Some(Timestamp(9)) }, ..rate("VAT", "US") }, 0),
        (TaxRate { place: place("CA", "OAKLAND", None), ..rate("VAT", "US") }, 4),
        (TaxRate { formats: vec![Format::Audiobook, Format::Ebook], ..rate("VAT", "US") }, 8),
    ];
    for (rate, n) in same {
        assert_eq!(id(&rate), ids[n]);
    }
}

#[test]
fn windows_that_touch_do_not_overlap() {
    let window = |from: Option<i64>, to: Option<i64>| Window { from: from.map(Timestamp), to: to.map(Timestamp) };
    for (a, b, overlaps) in [
        (window(None, None), window(None, None), true),
        (window(None, Some(5)), window(Some(5), None), false),
        (window(None, Some(6)), window(Some(5), None), true),
        (window(Some(1), Some(3)), window(Some(2), None), true),
    ] {
        assert_eq!((overlap(a, b), overlap(b, a)), (overlaps, overlaps), "{a:?} {b:?}");
    }
}
